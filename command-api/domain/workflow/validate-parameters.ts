import type { ParameterSpec, ParameterSpecs } from '../../../schemas/parameters.ts'
import { type Complaint, defaultOf, misfit } from './parameters.ts'
import { patternProblem } from './pattern.ts'

/** What is wrong with the declarations themselves: bounds that leave nothing, defaults that do not fit. */
export function parameterProblems(specs: ParameterSpecs): Complaint[] {
  return Object.entries(specs).flatMap(([name, spec]) => specProblems(`parameters.${name}`, spec))
}

function specProblems(path: string, spec: ParameterSpec): Complaint[] {
  const pattern = spec.type === 'string' && spec.pattern !== undefined ? patternProblem(spec.pattern) : undefined
  if (pattern !== undefined) return [{ path: `${path}.pattern`, message: pattern }]
  const [least, most] = boundsOf(spec)
  if (least !== undefined && most !== undefined && least > most)
    return [{ path, message: `no value fits: at least ${least} and at most ${most}` }]
  if (spec.type === 'enum' && new Set(spec.values).size < spec.values.length)
    return [{ path: `${path}.values`, message: 'the same value twice' }]
  const value = defaultOf(spec)
  const message = value === undefined ? undefined : misfit(spec, value)
  return message === undefined ? [] : [{ path: `${path}.default`, message }]
}

function boundsOf(spec: ParameterSpec): [number | undefined, number | undefined] {
  switch (spec.type) {
    case 'string':
      return [spec.minLength, spec.maxLength]
    case 'integer':
    case 'number':
      return [spec.minimum, spec.maximum]
    case 'list':
      return [spec.minItems, spec.maxItems]
    case 'boolean':
    case 'enum':
    case 'secret':
    case 'target':
    case 'credential':
    case 'file':
      return [undefined, undefined]
  }
}
