import type { CommandNode, CompoundList, parse, Statement } from 'unbash'
import type { Scope, Session } from '../facts.ts'
import type { Stream } from '../stream.ts'
import type { State } from './state.ts'

/** A place in a shell text: what was parsed by whom is known, and what stands around it. */
export type Walk = {
  session: Session
  state: State
  scope: Scope
  stdin: Stream
  pipesInto: string | null
  parse: typeof parse
  run: Runner
}

/** What the redirections of a command mean for it. */
export type Applied = { stdin: Stream | null; written: string[]; tcp: boolean; output: boolean }

/** One command with its words: what is looked at after every expansion and unwrapping. */
export type Call = { verb: string; args: string[]; walk: Walk; applied: Applied }

/** The ways back into the walk, for what contains other commands. Each answers what would be printed. */
export type Runner = {
  /** Judges a text in the POSIX shells' language (bash's, which contains it). */
  text(text: string, walk: Walk): Stream
  statements(statements: readonly Statement[], walk: Walk): Stream
  node(node: CommandNode | CompoundList, walk: Walk): Stream
  /** Runs words as the shell would, down to the commands that act. */
  call(argv: readonly string[], walk: Walk, applied?: Applied): Stream
}
