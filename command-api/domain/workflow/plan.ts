import type { JobVersion } from '../../../schemas/job.ts'
import type { ParameterValues } from '../../../schemas/parameters.ts'
import type { PlannedStep } from '../../../schemas/run.ts'
import type { StepRule } from '../../../schemas/target-run.ts'
import { referencesIn } from './templates-of.ts'
import { isGate, type Unit, unitsOf } from './units.ts'

/**
 * The steps of a run in the one order that every target goes through them. A barrier stands before every step of a
 * linear job and before those that look at results of all targets.
 * @throws DomainError invalid-parameters
 */
export function planOf(version: JobVersion, parameters: ParameterValues): PlannedStep[] {
  const { plan } = unitsOf(version, parameters)
  const linear = version.strategy?.pace === 'linear'
  return plan.map((unit, i) => ({
    id: unit.id,
    ...(i > 0 && (linear || asksForAll(unit)) && { barrier: true }),
    ...(isGate(unit.step) && { gate: true }),
  }))
}

const asksForAll = ({ step }: Unit) => referencesIn(step).some(reference => reference.root === 'all')

/** What a target run is told of the steps: those of the plan without gates, then what undoes them, then handlers. */
export function rulesOf(version: JobVersion, parameters: ParameterValues): StepRule[] {
  const { plan, handlers, byId } = unitsOf(version, parameters)
  const main = plan.filter(unit => !isGate(unit.step))
  const undoing = main.flatMap(unit => (unit.undo === undefined ? [] : (byId.get(unit.undo) ?? [])))
  return [...main.map(mainRule), ...undoing.map(undoRule), ...handlers.map(handlerRule)]
}

const tried = ({ step }: Unit) => ({
  idempotent: step.idempotent,
  ...(step.retry && { retry: step.retry }),
  ...(step.check !== undefined && { checkable: true }),
})

const mainRule = (unit: Unit): StepRule => ({
  id: unit.id,
  continueOnError: unit.step.continueOnError,
  ...tried(unit),
  ...(unit.undo !== undefined && { undo: unit.undo }),
})
/** What is done after a failure goes on after another. */
const undoRule = ({ id }: Unit): StepRule => ({ id, idempotent: false, continueOnError: true, phase: 'undo' })
const handlerRule = (unit: Unit): StepRule => ({ id: unit.id, continueOnError: true, ...tried(unit), phase: 'handler' })
