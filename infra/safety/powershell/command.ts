import type { Node } from 'web-tree-sitter'
import { emit, note, plainFact } from '../facts.ts'
import { isDynamic, mark } from '../text.ts'
import { aliases, parameterNamed } from './cmdlets.ts'
import { child, children, core } from './grammar.ts'
import { type Bound, meanCmdlet } from './meanings.ts'
import { runValue } from './members.ts'
import type { PsWalk } from './types.ts'

/** One command of a pipeline: finds what it is called, binds its parameters, says what it does. */
export function runCommand(node: Node, walk: PsWalk): string[] {
  const named = child(node, 'command_name', 'command_name_expr', 'path_command_name')
  const inner: PsWalk = { ...walk, scope: { ...walk.scope, depth: walk.scope.depth + 1 } }
  if (!walk.session.budget.spend(inner.scope.depth)) return [mark.unknown]
  const elements = child(node, 'command_elements')
  for (const part of [...children(node), ...(elements ? children(elements) : [])])
    if (part.type === 'redirection' || part.type === 'redirections') walk.run.node(part, walk)
  const names = named ? nameValues(named, inner) : [mark.unknown]
  const output = names.flatMap(name => call(name, elements, node, inner))
  walk.scope.cwd = inner.scope.cwd
  return output
}

function nameValues(named: Node, walk: PsWalk): string[] {
  const inside = named.type === 'command_name_expr' ? core(named) : named
  return walk.run.value(inside, walk)
}

function call(written: string, elements: Node | undefined, node: Node, walk: PsWalk): string[] {
  const block = walk.blocks.get(written)
  const args = () => (elements ? argumentsOf(elements, walk) : [])
  if (block) {
    args()
    return walk.run.node(block, walk)
  }
  const name = plainName(written, walk)
  const own = walk.functions.get(name)
  if (own) return callFunction(name, own, bind(args()), walk)
  if (name === '' || isDynamic(name)) return dynamicCall(written, args(), walk)
  if (/\s/.test(name) && child(node, 'command_invokation_operator') && !/[\\/]|\.exe$/.test(name))
    return runValue(written, walk)
  return meanCmdlet({ ...bind(args()), name, walk })
}

function plainName(written: string, walk: PsWalk): string {
  const bare = written
    .replace(/^.*\\(?=[^\\]+$)/, '')
    .replace(/^.*\/(?=[^/]+$)/, '')
    .toLowerCase()
  const program = bare.endsWith('.exe') || bare.endsWith('.com')
  const plain = bare.replace(/\.(exe|com)$/, '')
  return program
    ? `${plain}${aliases.has(plain) ? '.exe' : ''}`
    : (walk.aliases.get(plain) ?? aliases.get(plain) ?? plain)
}

// `& $x` runs whatever the variable holds; text from the network or decoded is worse than unknown.
function dynamicCall(written: string, args: Argument[], walk: PsWalk): string[] {
  if (written.includes(mark.network) || written.includes(mark.decoded)) return runValue(written, walk)
  const words = args.flatMap(({ values }) => values)
  emit(walk.session, { ...plainFact(written, words, walk.scope), effect: 'dynamic', dynamic: true })
  return [mark.unknown]
}

function callFunction(name: string, node: Node, { positional }: Omit<Bound, 'name' | 'walk'>, walk: PsWalk): string[] {
  if (walk.calling.includes(name)) {
    if (walk.pipesInto !== null) note(walk.session, 'fork-bomb', name, walk.scope)
    return [mark.unknown]
  }
  const names = [...node.text.matchAll(/\$(\w+)/g)].map(match => (match[1] ?? '').toLowerCase())
  const declared = /(?:^function\s+[\w-]+\s*\(|param\s*\()([^)]*)\)/i.exec(node.text)?.[1] ?? ''
  const parameters = names.filter(
    (one, index) => names.indexOf(one) === index && new RegExp(`\\$${one}\\b`, 'i').test(declared),
  )
  const vars = new Map(walk.vars)
  for (const [index, parameter] of parameters.entries()) vars.set(parameter, [positional[index] ?? mark.unknown])
  vars.set('args', positional)
  const body = child(node, 'script_block')
  return body ? walk.run.node(body, { ...walk, vars, calling: [...walk.calling, name] }) : []
}

type Argument = { parameter: string | null; values: string[]; attached: boolean }

function argumentsOf(elements: Node, walk: PsWalk): Argument[] {
  const found: Argument[] = []
  let attach = false
  for (const part of children(elements)) {
    if (part.type === 'redirection' || part.type === 'redirections') continue
    if (part.type === 'command_argument_sep') attach = part.text.includes(':')
    else if (part.type === 'command_parameter')
      found.push({ parameter: part.text.replace(/:$/, ''), values: [], attached: part.text.endsWith(':') })
    else if (part.type === 'stop_parsing')
      found.push({ parameter: null, values: part.text.replace(/^--%/, '').trim().split(/\s+/), attached: false })
    else if (/^\d?>/.test(part.text)) attach = false
    else {
      const table = walk.tables.get(part.text.replace(/^@/, '').toLowerCase())
      const last = found.at(-1)
      if (part.text.startsWith('@') && table)
        for (const [key, values] of table) found.push({ parameter: `-${key}`, values, attached: true })
      else if (last && (attach || last.attached) && last.parameter !== null && last.values.length === 0)
        Object.assign(last, { values: walk.run.value(part, walk), attached: true })
      else found.push({ parameter: null, values: walk.run.value(part, walk), attached: false })
      attach = false
    }
  }
  return found
}

/** Parameters by full name, the rest in order; `words` is the line as a program that is no cmdlet would get it. */
function bind(args: Argument[]): Omit<Bound, 'name' | 'walk'> {
  const bound = {
    values: new Map<string, string[]>(),
    switches: new Set<string>(),
    positional: [] as string[],
    words: [] as string[],
  }
  let waiting: string | null = null
  for (const { parameter, values, attached } of args) {
    if (parameter === null) {
      bound.words.push(...values)
      if (waiting) bound.values.set(waiting, values)
      else bound.positional.push(...values)
      waiting = null
      continue
    }
    const { name, takesValue } = parameterNamed(parameter)
    bound.words.push(attached && values.length > 0 ? `${parameter}:${values.join(',')}` : parameter)
    if (attached && values.length > 0 && (takesValue || !/^(true|false)$/.test(values[0] ?? '')))
      bound.values.set(name, values)
    else if (!(attached && values[0] === 'false')) {
      bound.switches.add(name)
      waiting = takesValue ? name : null
    }
  }
  return bound
}
