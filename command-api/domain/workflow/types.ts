import type { Environment, ObjectSchema } from '@marcbachmann/cel-js'
import type { ParameterSpec } from '../../../schemas/parameters.ts'
import { type Expression, environment } from './expression.ts'
import type { Reference } from './references.ts'
import { remembered } from './remembered.ts'
import { members, outputTypes, type Visible } from './visible.ts'

/** A checked expression: its CEL type, or what is wrong with it. */
export type Checked = { type: string } | { problem: string }

/**
 * The type of an expression whose references are known to be right. Steps are looked at under names of their own, so
 * that `has(steps["a-b"].outputs.c)` is something the type checker understands.
 */
export function typeOf(expression: Expression, visible: Visible): Checked {
  const aliases = new Map<string, Reference[]>()
  let { source } = expression
  for (const reference of [...expression.references].sort((a, b) => b.start - a.start)) {
    const [first] = reference.path
    if ((reference.root !== 'steps' && reference.root !== 'all') || first === undefined) continue
    const key = `${reference.root} ${first}`
    aliases.set(key, [...(aliases.get(key) ?? []), reference])
    const alias = `opsc_${[...aliases.keys()].indexOf(key)}`
    source = `${source.slice(0, reference.start)}${alias}${source.slice(reference.end)}`
  }
  const declared = Object.fromEntries([...aliases.values()].map((uses, i) => [`opsc_${i}`, stepType(uses, visible)]))
  const answer = environmentFor(JSON.stringify([{ ...rootTypes(expression, visible), ...declared }])).check(source)
  return answer.valid ? { type: answer.type ?? 'dyn' } : { problem: answer.error?.summary ?? 'the types do not fit' }
}

type Declared = string | ObjectSchema

/** Every set of names is declared once: that is the slow part. */
const environmentFor = remembered<Environment>(200, text => {
  const [names]: [Record<string, Declared>] = JSON.parse(text)
  const made = environment.clone()
  for (const [name, type] of Object.entries(names)) {
    if (typeof type === 'string') made.registerVariable(name, type)
    else made.registerVariable({ name, schema: type })
  }
  return made
})

function rootTypes({ references }: Expression, visible: Visible): Record<string, Declared> {
  const used = references.flatMap(({ root, path: [name] }) => (root === 'params' && name !== undefined ? [name] : []))
  const params = [...new Set(used)].sort().flatMap(name => {
    const spec = visible.params[name]
    return spec ? [[name, parameterType(spec)] as const] : []
  })
  return {
    ...members,
    ...(params.length > 0 && { params: Object.fromEntries(params) }),
    index: 'int',
    item: visible.item ?? 'dyn',
  }
}

export function parameterType(spec: ParameterSpec): string {
  switch (spec.type) {
    case 'integer':
      return 'int'
    case 'number':
      return 'double'
    case 'boolean':
      return 'bool'
    case 'list':
      return `list<${elementTypes[spec.of]}>`
    case 'string':
    case 'enum':
    case 'secret':
    case 'target':
    case 'credential':
    case 'file':
      return 'string'
  }
}
const elementTypes = { string: 'string', integer: 'int', number: 'double', boolean: 'bool' } as const

function stepType(uses: readonly Reference[], { steps }: Visible): ObjectSchema {
  const [first] = uses
  const step = steps.get(first?.path[0] ?? '')
  const known = step ? outputTypes(step) : {}
  const isList = first?.root === 'all' || step?.forEach !== undefined
  const listed = Object.entries(known).map(([name, type]) => [name, isList ? `list<${type}>` : type])
  // Asked for as a whole, outputs are a map like any other.
  const whole = uses.some(({ path }) => path.length === 2) || listed.length === 0
  const outputs = whole ? 'map<string, dyn>' : Object.fromEntries(listed)
  return first?.root === 'all' ? { outputs } : { outcome: 'string', exitCode: 'int', outputs }
}
