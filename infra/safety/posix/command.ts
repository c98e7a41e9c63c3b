import type { Assignment, Command } from 'unbash'
import { bounds } from '../bounds.ts'
import { concat, type Stream, silence } from '../stream.ts'
import { mark } from '../text.ts'
import { expandValues, expandWord } from './expand.ts'
import { expanderFor } from './expander.ts'
import { applyRedirects } from './redirect.ts'
import { fork, join, unite } from './state.ts'
import type { Walk } from './walk-types.ts'

const declaring = new Set(['export', 'declare', 'typeset', 'local', 'readonly'])

/** One simple command: its variables, redirections and every name it may have. */
export function runCommand(command: Command, walk: Walk): Stream {
  const assignments = command.prefix.filter(item => item.type === 'Assignment')
  if (!command.name) {
    for (const assignment of assignments) assign(assignment, walk)
    applyRedirects(command.redirects, '', walk)
    return silence
  }
  const inner = assignments.length > 0 ? { ...walk, state: fork(walk.state) } : walk
  for (const assignment of assignments) assign(assignment, inner)
  const names = expandWord(command.name, expanderFor(inner))
  const applied = applyRedirects(command.redirects, command.name.value, inner)
  const called = { ...inner, stdin: applied.stdin ?? walk.stdin }
  const args = argumentsOf(command, called, declaring.has(command.name.value))
  const output = concat(names.map(name => called.run.call([...name, ...args], called, applied)))
  if (inner !== walk) inherit(walk, inner, assignments)
  return applied.output ? silence : output
}

function argumentsOf(command: Command, walk: Walk, declares: boolean): string[] {
  const fields = command.args.flatMap(argument => {
    if (argument.type === 'Word') return expandWord(argument, expanderFor(walk)).flat()
    if (declares) assign(argument, walk)
    const values = argument.value.type === 'Word' ? expandValues(argument.value, expanderFor(walk)) : [mark.unknown]
    return values.map(value => `${argument.name}=${value}`)
  })
  return fields.slice(0, bounds.fields)
}

// `X=1 cd /`: the variable ends with the command, what else it changed stays.
function inherit(walk: Walk, inner: Walk, assignments: readonly Assignment[]): void {
  for (const { name } of assignments) {
    const before = walk.state.vars.get(name)
    if (before) inner.state.vars.set(name, before)
    else inner.state.vars.delete(name)
  }
  const { cwd } = inner.state
  join(walk.state, { ...inner.state, cwd: walk.state.cwd })
  walk.state.cwd = cwd
}

function assign({ name, value, append, index }: Assignment, walk: Walk): void {
  const { vars, arrays } = walk.state
  const expander = expanderFor(walk)
  if (value.type === 'ArrayValue') {
    const elements = value.elements.flatMap(word => expandWord(word, expander).flat())
    arrays.set(name, [...(append ? (arrays.get(name) ?? []) : []), ...elements].slice(0, bounds.fields))
    return
  }
  const values = expandValues(value, expander)
  if (index) arrays.set(name, [...(arrays.get(name) ?? []), ...values].slice(0, bounds.fields))
  else if (append)
    vars.set(name, unite((vars.get(name) ?? [mark.unknown]).flatMap(before => values.map(after => before + after))))
  else vars.set(name, unite(values))
}
