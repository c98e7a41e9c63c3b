import type { ASTNode } from '@marcbachmann/cel-js'
import { isMacro } from './evaluate.ts'
import { functions, methods } from './functions.ts'

/** One use of a name from outside the expression: `steps["install"].outputs.version` and where it stands. */
export type Reference = {
  root: string
  /** The members asked for that are spelled out, from the root on. */
  path: readonly string[]
  /** Something follows that is worked out and so not known here. */
  open: boolean
  /** Asked for by has(): it may be absent. */
  optional: boolean
  start: number
  /** Where the root and its first member end. */
  end: number
}
/** References, and in words what is used that is not offered. */
type Found = Generator<Reference | string>

/** Everything an expression refers to, and every use of what is not offered. */
export function referencesOf(ast: ASTNode): { references: Reference[]; problems: string[] } {
  const found = [...visit(ast, { bound: new Set(), optional: false })]
  return {
    references: found.filter(one => typeof one !== 'string'),
    problems: found.filter(one => typeof one === 'string'),
  }
}

type At = { bound: ReadonlySet<string>; optional: boolean }

function* visit(node: ASTNode, at: At): Found {
  const within = { ...at, optional: false }
  switch (node.op) {
    case 'id':
    case '.':
    case '[]':
      yield* chain(node, at)
      break
    case 'value':
      if (node.args !== null && typeof node.args === 'object') yield 'bytes and unsigned numbers are not offered'
      break
    case 'call':
      yield* visitCall(node.args, within)
      break
    case 'rcall':
      yield* visitMethod(node.args, within)
      break
    case 'map':
      yield* visitAll(node.args.flat(), within)
      break
    case '!_':
    case '-_':
      yield* visit(node.args, within)
      break
    case '.?':
    case '[?]':
      yield '.? and [?] are not offered: ask with has()'
      break
    case 'list':
    case '?:':
    case '||':
    case '&&':
    case '==':
    case '!=':
    case 'in':
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '<':
    case '<=':
    case '>':
    case '>=':
      yield* visitAll(node.args, within)
  }
}

function* visitAll(nodes: readonly ASTNode[], at: At): Found {
  for (const node of nodes) yield* visit(node, at)
}

function* visitCall([name, args]: [string, ASTNode[]], at: At): Found {
  if (name !== 'has' && !Object.hasOwn(functions, name)) yield `there is no function ${name}()`
  yield* visitAll(args, { ...at, optional: name === 'has' })
}

function* visitMethod([name, receiver, args]: [string, ASTNode, ASTNode[]], at: At): Found {
  if (!isMacro(name) && !Object.hasOwn(methods, name)) {
    yield `there is no function .${name}()`
    return
  }
  yield* visit(receiver, at)
  const [variable, ...bodies] = args
  const bound = isMacro(name) && variable?.op === 'id' ? new Set([...at.bound, variable.args]) : at.bound
  yield* visitAll(isMacro(name) ? bodies : args, { ...at, bound })
}

/** `a.b["c"].d` from its end to its root. */
function* chain(node: ASTNode, at: At): Found {
  let path: string[] = []
  let open = false
  let end = node.end
  let here = node
  while (here.op === '.' || here.op === '[]') {
    const key = here.op === '.' ? here.args[1] : literalKey(here.args[1])
    if (here.op === '[]' && key === undefined) yield* visit(here.args[1], { ...at, optional: false })
    open ||= key === undefined
    path = key === undefined ? [] : [key, ...path]
    end = here.end
    here = here.args[0]
  }
  if (here.op !== 'id') yield* visit(here, { ...at, optional: false })
  else if (!at.bound.has(here.args))
    yield {
      root: here.args,
      path,
      open,
      optional: at.optional,
      start: here.start,
      end: path.length > 0 ? end : here.end,
    }
}

function literalKey(node: ASTNode): string | undefined {
  return node.op === 'value' && typeof node.args === 'string' ? node.args : undefined
}
