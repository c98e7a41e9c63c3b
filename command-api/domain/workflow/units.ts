import type { JobVersion } from '../../../schemas/job.ts'
import type { ParameterValues } from '../../../schemas/parameters.ts'
import type { Action, Step } from '../../../schemas/steps/index.ts'
import { placeOf } from '../../../schemas/steps/index.ts'
import { DomainError } from '../decider.ts'
import { compile, evaluate } from './expression.ts'
import { inOrder } from './order.ts'
import { parameterNames } from './scope.ts'
import { TemplateError } from './template-error.ts'
import { fromJson, isList, plainText, type Value, type ValueMap } from './value.ts'

/** A step as it is done: a round of a loop, or what undoes one, is one by itself. */
export type Unit = {
  id: string
  step: Step
  phase: 'main' | 'undo' | 'handler'
  action: Action | Step
  round?: number
  item?: Value
  /** Id of the unit that undoes this one. */
  undo?: string
}
export type Units = { plan: Unit[]; handlers: Unit[]; byId: ReadonlyMap<string, Unit>; parameters: ValueMap }

const MOST_UNITS = 500
const known = new WeakMap<object, WeakMap<object, Units>>()
const noParameters = {}

/**
 * Everything a run of this version may do on a target, loops unrolled. The same objects give the same answer again.
 * @throws DomainError invalid-parameters when a loop has no list to go over or there are more than 500 steps.
 */
export function unitsOf(version: JobVersion, parameters: ParameterValues): Units {
  const ofVersion = known.get(version) ?? new WeakMap<object, Units>()
  known.set(version, ofVersion)
  const key = Object.keys(parameters).length === 0 ? noParameters : parameters
  const found = ofVersion.get(key)
  if (found) return found
  const made = unroll(version, parameters)
  ofVersion.set(key, made)
  return made
}

function unroll(version: JobVersion, values: ParameterValues): Units {
  const parameters = parameterNames(version.parameters, values)
  const plan = inOrder(version.steps).flatMap(step => roundsOf(step, 'main', parameters))
  const handlers = inOrder(version.onFailure ?? []).flatMap(step => roundsOf(step, 'handler', parameters))
  const undoing = plan.flatMap(undoOf)
  const all = [...plan, ...undoing, ...handlers]
  if (plan.length + handlers.length > MOST_UNITS)
    throw new DomainError(
      'invalid-parameters',
      `the run would have ${plan.length + handlers.length} steps; 500 are the most`,
    )
  return { plan, handlers, byId: new Map(all.map(unit => [unit.id, unit])), parameters }
}

function roundsOf(step: Step, phase: 'main' | 'handler', parameters: ValueMap): Unit[] {
  const unit = (id: string) => ({
    id,
    step,
    phase,
    action: step,
    ...('undo' in step && step.undo && phase === 'main' && { undo: `${id}.undo` }),
  })
  const items = itemsOf(step, parameters)
  return items ? items.map((item, round) => ({ ...unit(`${step.id}.${round}`), round, item })) : [unit(step.id)]
}

function undoOf(unit: Unit): Unit[] {
  const action = 'undo' in unit.step ? unit.step.undo : undefined
  if (!action || unit.undo === undefined) return []
  const { undo, ...rest } = unit
  return [{ ...rest, id: undo, phase: 'undo', action }]
}

function itemsOf({ id, forEach }: Step, params: ValueMap): Value[] | undefined {
  if (forEach === undefined) return undefined
  const items = typeof forEach === 'string' ? listOf(id, forEach, params) : forEach.map(fromJson)
  if (items.length > MOST_UNITS)
    throw new DomainError('invalid-parameters', `the loop of ${id} has ${items.length} rounds; 500 are the most`)
  if (items.some(item => plainText(item) === undefined))
    throw new DomainError('invalid-parameters', `the loop of ${id} goes over something else than plain values`)
  return items
}

function listOf(id: string, source: string, params: ValueMap): Value[] {
  try {
    const list = evaluate(compile(source), { params })
    if (isList(list)) return [...list]
    throw new TemplateError('not a list')
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    throw new DomainError('invalid-parameters', `the loop of ${id}: ${error.detail}`)
  }
}

/** Done once for the run rather than on targets. */
export const isGate = (step: Step): boolean => placeOf[step.uses] === 'run'
