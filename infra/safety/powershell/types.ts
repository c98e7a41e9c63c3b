import type { Node, Parser, Tree } from 'web-tree-sitter'
import type { Scope, Session } from '../facts.ts'

/** A place in a PowerShell text. Values are texts with marks; a list is more than one of them. */
export type PsWalk = {
  session: Session
  scope: Scope
  parser: Parser
  /** Trees parsed so far: their memory is the grammar's own and is given back when the judging ends. */
  trees: Tree[]
  vars: Map<string, string[]>
  tables: Map<string, [string, string[]][]>
  functions: Map<string, Node>
  blocks: Map<string, Node>
  aliases: Map<string, string>
  calling: readonly string[]
  /** What the pipeline hands over: `$_`. */
  input: string[]
  pipesInto: string | null
  run: PsRunner
}

export type PsRunner = {
  /** Walks a statement or list of them; answers what it puts out. */
  node(node: Node, walk: PsWalk): string[]
  value(node: Node, walk: PsWalk): string[]
  text(text: string, walk: PsWalk): string[]
}
