import type { ASTNode } from '@marcbachmann/cel-js'
import { Budget, TooCostly } from './budget.ts'
import { functions, methods } from './functions.ts'
import { binary, negative } from './operators.ts'
import { TemplateError } from './template-error.ts'
import { isList, isMap, typeName, type Value, type ValueMap } from './value.ts'

/** The names an expression sees; those that macros bind lie over the others. */
type Scope = { names: ValueMap } | { name: string; value: Value; outer: Scope }
type Work = { scope: Scope; budget: Budget }

/** The value of a compiled expression, bounded in work and memory. @throws TemplateError */
export function evaluateAst(ast: ASTNode, names: ValueMap): Value {
  return valueAt(ast, { scope: { names }, budget: new Budget() })
}

function valueAt(node: ASTNode, work: Work): Value {
  work.budget.spend(1)
  switch (node.op) {
    case 'value':
      return literal(node.args)
    case 'id':
      return named(node.args, work.scope)
    case '.':
      return member(valueAt(node.args[0], work), node.args[1])
    case '[]':
      return member(valueAt(node.args[0], work), valueAt(node.args[1], work))
    case 'call':
      return node.args[0] === 'has' ? has(node.args[1], work) : call(functions, node.args[0], node.args[1], work)
    case 'rcall': {
      const [name, receiver, args] = node.args
      if (isMacro(name)) return macro(name, valueAt(receiver, work), args, work)
      return call(methods, name, [receiver, ...args], work)
    }
    case 'list':
      return node.args.map(item => valueAt(item, work))
    case 'map':
      return Object.fromEntries(node.args.map(([key, value]) => [textKey(valueAt(key, work)), valueAt(value, work)]))
    case '?:':
      return valueAt(node.args[truth(valueAt(node.args[0], work)) ? 1 : 2], work)
    case '||':
    case '&&':
      return either(node.op === '||', node.args, work)
    case '!_':
      return !truth(valueAt(node.args, work))
    case '-_':
      return negative(valueAt(node.args, work))
    case '.?':
    case '[?]':
      throw new TemplateError('.? and [?] are not offered: ask with has()')
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
      return binary(node.op, valueAt(node.args[0], work), valueAt(node.args[1], work), work.budget)
  }
}

type Literal = Extract<ASTNode, { op: 'value' }>['args']
function literal(value: Literal): Value {
  if (value !== null && typeof value === 'object') throw new TemplateError('bytes and unsigned numbers are not offered')
  return value
}

function named(name: string, scope: Scope): Value {
  let at = scope
  while ('outer' in at) {
    if (at.name === name) return at.value
    at = at.outer
  }
  const value = Object.hasOwn(at.names, name) ? at.names[name] : undefined
  if (value === undefined) throw new TemplateError(`there is no ${name} here`)
  return value
}

function member(of: Value, key: Value): Value {
  const found = find(of, key)
  if (found === undefined) throw new TemplateError(`there is no ${typeof key === 'string' ? key : String(key)}`)
  return found
}

function find(of: Value, key: Value): Value | undefined {
  if (isMap(of) && typeof key === 'string') return Object.hasOwn(of, key) ? of[key] : undefined
  if (isList(of) && typeof key === 'bigint') return key >= 0n ? of[Number(key)] : undefined
  throw new TemplateError(`${typeName(of)} has no ${typeName(key)} in it`)
}

function textKey(key: Value): string {
  if (typeof key === 'string') return key
  throw new TemplateError('keys of maps are strings')
}

function truth(value: Value): boolean {
  if (typeof value === 'boolean') return value
  throw new TemplateError(`${typeName(value)} where true or false is needed`)
}

/** Whether the last member is there; those before it must be. */
function has([node]: ASTNode[], work: Work): Value {
  if (node?.op !== '.') throw new TemplateError('has() asks for a member, as in has(params.name)')
  return find(valueAt(node.args[0], work), node.args[1]) !== undefined
}

function call(table: typeof functions, name: string, args: readonly ASTNode[], work: Work): Value {
  const fn = Object.hasOwn(table, name) ? table[name] : undefined
  if (!fn) throw new TemplateError(`there is no function ${name}`)
  const values = args.map(arg => valueAt(arg, work))
  work.budget.spend(values.length)
  return fn(values, work.budget)
}

/** As CEL has it: one side that decides makes up for an error on the other. */
function either(deciding: boolean, [left, right]: [ASTNode, ASTNode], work: Work): boolean {
  const first = attempt(left, work)
  if (first === deciding) return deciding
  const second = truth(valueAt(right, work))
  if (first instanceof TemplateError && second !== deciding) throw first
  return second
}

function attempt(node: ASTNode, work: Work): boolean | TemplateError {
  try {
    return truth(valueAt(node, work))
  } catch (error) {
    if (error instanceof TemplateError && !(error instanceof TooCostly)) return error
    throw error
  }
}

const macros = ['all', 'exists', 'exists_one', 'map', 'filter'] as const
type Macro = (typeof macros)[number]
export const isMacro = (name: string): name is Macro => (macros as readonly string[]).includes(name)

function macro(kind: Macro, over: Value, [variable, ...bodies]: ASTNode[], work: Work): Value {
  const [first, second] = bodies
  if (variable?.op !== 'id' || !first) throw new TemplateError(`${kind}() needs a name and an expression`)
  const name = variable.args
  const within = (value: Value): Work => ({ ...work, scope: { name, value, outer: work.scope } })
  const items = isMap(over) ? Object.keys(over) : over
  if (!isList(items)) throw new TemplateError(`${kind}() goes over a list, not over ${typeName(over)}`)
  switch (kind) {
    case 'map': {
      const chosen = second ? items.filter(item => truth(valueAt(first, within(item)))) : items
      return chosen.map(item => valueAt(second ?? first, within(item)))
    }
    case 'filter':
      return items.filter(item => truth(valueAt(first, within(item))))
    case 'exists_one':
      return items.filter(item => truth(valueAt(first, within(item)))).length === 1
    case 'all':
    case 'exists':
      return quantified(kind === 'exists', items, item => attempt(first, within(item)))
  }
}

function quantified(
  deciding: boolean,
  items: readonly Value[],
  ask: (item: Value) => boolean | TemplateError,
): boolean {
  let error: TemplateError | undefined
  for (const item of items) {
    const answer = ask(item)
    if (answer === deciding) return deciding
    if (answer instanceof TemplateError) error ??= answer
  }
  if (error) throw error
  return !deciding
}
