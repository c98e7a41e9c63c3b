import { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import type { Node, Parser } from 'web-tree-sitter'

let loaded: Promise<Parser> | undefined

/** The PowerShell grammar as WebAssembly, read once per process. */
export function loadParser(): Promise<Parser> {
  loaded ??= load()
  return loaded
}

async function load(): Promise<Parser> {
  // V8's optimising compiler takes up to a minute of CPU for the grammar's one huge lexer function and gains a
  // millisecond. What is compiled between these two lines stays with the fast compiler.
  setFlagsFromString('--liftoff-only')
  try {
    const { Language, Parser } = await import('web-tree-sitter')
    await Parser.init()
    const file = createRequire(import.meta.url).resolve('tree-sitter-powershell/tree-sitter-powershell.wasm')
    return new Parser().setLanguage(await Language.load(file))
  } finally {
    setFlagsFromString('--no-liftoff-only')
  }
}

/** The named children that are really there. */
export function children(node: Node): Node[] {
  return node.namedChildren.filter(child => child !== null && child.type !== 'comment')
}

export function child(node: Node, ...types: string[]): Node | undefined {
  return children(node).find(({ type }) => types.includes(type))
}

/** Through the layers of an expression that only say how operators bind, down to what has a meaning. */
export function core(node: Node): Node {
  const [only, ...others] = node.children
  return only?.isNamed && others.length === 0 && node.type !== 'command_name' ? core(only) : node
}
