import { nearest } from '../../../schemas/nearest.ts'
import type { ParameterSpec, ParameterSpecs, ParameterValues } from '../../../schemas/parameters.ts'
import type { Problem } from '../../../schemas/problems.ts'
import { DomainError } from '../decider.ts'
import { patternOf, patternProblem } from './pattern.ts'

type Given = ParameterValues[string]
export type Complaint = NonNullable<Problem['errors']>[number]

/**
 * The values a run goes by: those that were given, and defaults.
 * @throws DomainError invalid-parameters, naming everything that does not fit
 */
export function bindParameters(
  specs: ParameterSpecs | undefined = {},
  given: ParameterValues | undefined = {},
): ParameterValues {
  const errors: Complaint[] = []
  const bound: ParameterValues = {}
  for (const name of Object.keys(given))
    if (!Object.hasOwn(specs, name)) errors.push({ path: `parameters.${name}`, message: unknown(name, specs) })
  for (const [name, spec] of Object.entries(specs)) {
    const value = Object.hasOwn(given, name) ? given[name] : defaultOf(spec)
    if (value !== undefined) bound[name] = value
    const message = value === undefined ? missing(spec) : misfit(spec, value)
    if (message !== undefined) errors.push({ path: `parameters.${name}`, message })
  }
  if (errors.length > 0) throw new DomainError('invalid-parameters', summary(errors), errors)
  return bound
}

/** All complaints in one line, as far as a line goes. */
export function summary(errors: readonly Complaint[]): string {
  const text = errors.map(({ path, message }) => `${path}: ${message}`).join('; ')
  return text.length > 1_000 ? `${text.slice(0, 999)}…` : text
}

function unknown(name: string, specs: ParameterSpecs): string {
  const near = nearest(name, Object.keys(specs))
  return near === undefined ? 'the job has no such parameter' : `the job has no such parameter; did you mean ${near}?`
}

export const defaultOf = (spec: ParameterSpec): Given | undefined => ('default' in spec ? spec.default : undefined)
const missing = (spec: ParameterSpec) => (spec.required ? 'is required' : undefined)

/** What is wrong with a value, if anything is. */
export function misfit(spec: ParameterSpec, value: Given): string | undefined {
  switch (spec.type) {
    case 'string':
      return typeof value === 'string' ? textMisfit(spec, value) : 'must be text'
    case 'integer':
      return Number.isSafeInteger(value) ? bounded(spec, Number(value)) : 'must be a whole number'
    case 'number':
      return typeof value === 'number' ? bounded(spec, value) : 'must be a number'
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'must be true or false'
    case 'enum':
      return typeof value === 'string' && spec.values.includes(value) ? undefined : notOneOf(spec.values, value)
    case 'list':
      return Array.isArray(value) ? listMisfit(spec, value) : 'must be a list'
    case 'secret':
    case 'credential':
      return isId(value) ? undefined : 'must be the id of a credential'
    case 'target':
      return isId(value) ? undefined : 'must be the id of a target'
    case 'file':
      return typeof value === 'string' && SHA256.test(value) ? undefined : 'must be the SHA-256 of an artifact'
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const SHA256 = /^[0-9a-f]{64}$/
const isId = (value: Given) => typeof value === 'string' && UUID.test(value)

function notOneOf(values: readonly string[], value: Given): string {
  const near = typeof value === 'string' ? nearest(value, values) : undefined
  const listed = values.slice(0, 20).join(', ')
  return `must be one of ${listed}${near === undefined ? '' : `; did you mean ${near}?`}`
}

type Of<T extends ParameterSpec['type']> = Extract<ParameterSpec, { type: T }>

function textMisfit({ pattern, minLength = 0, maxLength = 8_192 }: Of<'string'>, value: string): string | undefined {
  const length = [...value].length
  if (length < minLength) return `must have at least ${minLength} characters`
  if (length > maxLength) return `must have at most ${maxLength} characters`
  if (value.includes('\0')) return 'must not have a NUL character in it'
  if (pattern === undefined) return undefined
  if (patternProblem(pattern) !== undefined) return `cannot be checked: the pattern ${pattern} does not compile`
  return patternOf(pattern).matchesWhole(value) ? undefined : `must match ${pattern}`
}

function bounded({ minimum, maximum }: { minimum?: number | undefined; maximum?: number | undefined }, value: number) {
  if (minimum !== undefined && value < minimum) return `must be at least ${minimum}`
  if (maximum !== undefined && value > maximum) return `must be at most ${maximum}`
  return undefined
}

const elementType = {
  string: (value: unknown) => typeof value === 'string' && !value.includes('\0'),
  integer: Number.isSafeInteger,
  number: (value: unknown) => typeof value === 'number',
  boolean: (value: unknown) => typeof value === 'boolean',
}

function listMisfit({ of, minItems = 0, maxItems = 1_000 }: Of<'list'>, value: readonly unknown[]): string | undefined {
  if (value.length < minItems) return `must have at least ${minItems} items`
  if (value.length > maxItems) return `must have at most ${maxItems} items`
  const at = value.findIndex(item => !elementType[of](item))
  return at < 0 ? undefined : `item ${at} must be of type ${of}`
}
