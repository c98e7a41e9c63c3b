import type { FailureClass } from '../../schemas/failure.ts'
import type { StepRule, TargetRunEvent } from '../../schemas/target-run.ts'
import { isMain, type Progress, remainingSteps } from './target-run-state.ts'

export type Where = { runId: string; n: number }
export type Failure = { class: FailureClass; detail: string }
type Skip = { stepId: string; why: Extract<TargetRunEvent, { type: 'StepSkipped' }>['data']['why'] }

export const place = ({ runId, n }: Where): Where => ({ runId, n })

export const skips = (where: Where, epoch: number, skipped: readonly Skip[]): TargetRunEvent[] =>
  skipped.map(skip => ({ type: 'StepSkipped', data: { ...place(where), ...skip, epoch } }))

/** Leaves out everything that remains, except what is named. */
export const skipRest = (state: Progress, where: Where, why: Skip['why'], except?: string): TargetRunEvent[] =>
  skips(
    where,
    state.epoch,
    remainingSteps(state)
      .filter(step => step.id !== except)
      .map(step => ({ stepId: step.id, why })),
  )

/** What follows once the step `over` (if any) has ended and the target run goes on: nothing, unless it was the last. */
export function endIfLast(state: Progress, where: Where, ...over: string[]): TargetRunEvent[] {
  if (remainingSteps(state).some(step => !over.includes(step.id))) return []
  const data = { ...place(where), targetId: state.targetId }
  const { recovery } = state
  // A target run whose failed steps were all allowed to fail (`continueOnError`) has succeeded.
  if (!recovery) return [{ type: 'TargetRunSucceeded', data }]
  const failed = recovery.steps.filter(id => state.ended[id]?.outcome === 'failed')
  return recovered(state, where, failed, recovery)
}

const recovered = (state: Progress, where: Where, failed: string[], why: Failure): TargetRunEvent[] => [
  { type: 'CompensationCompleted', data: { ...place(where), failed } },
  targetRunFailed(state, where, why),
]

export const targetRunFailed = (
  { targetId }: Progress,
  where: Where,
  { class: failure, detail }: Failure,
): TargetRunEvent => ({
  type: 'TargetRunFailed',
  data: { ...place(where), targetId, class: failure, detail },
})

/** A main step failed for good: the rest is left out, what succeeded is undone, then the target run has failed. */
export function failing(state: Progress, where: Where, why: Failure, failedStep?: string): TargetRunEvent[] {
  if (state.recovery) return abandonRecovery(state, where)
  const rest = skipRest(state, where, 'earlier-step-failed', failedStep)
  const steps = [...undoing(state), ...state.steps.filter(step => step.phase === 'handler').map(step => step.id)]
  if (steps.length === 0) return [...rest, targetRunFailed(state, where, why)]
  const { class: failure, detail } = why
  return [...rest, { type: 'CompensationStarted', data: { ...place(where), steps, class: failure, detail } }]
}

/**
 * Nothing more can be done there, as it seems. But where it is to be found out first whether a step took effect, that
 * is still not known, and a person has to say.
 */
export function failingUnlessUnclear(state: Progress, where: Where, why: Failure): TargetRunEvent[] {
  if (!state.verify) return failing(state, where, why)
  const { stepId } = state.verify
  const detail = `whether the step ${stepId} took effect could not be found out: ${why.detail}`.slice(0, 500)
  return [{ type: 'TargetRunNeedsAttention', data: { ...place(where), targetId: state.targetId, stepId, detail } }]
}

/** The target cannot be reached any more: what was to be done after the failure is not done. */
function abandonRecovery(state: Progress, where: Where): TargetRunEvent[] {
  const left = remainingSteps(state).map(step => step.id)
  const why = state.recovery ?? { class: 'internal', detail: '' }
  return [...skipRest(state, where, 'earlier-step-failed'), ...recovered(state, where, left, why)]
}

/** What undoes the steps that succeeded, the last one first. */
function undoing({ steps, ended }: Progress): string[] {
  const done = (step: StepRule) => isMain(step) && ended[step.id]?.outcome === 'succeeded'
  return steps
    .filter(done)
    .flatMap(step => (step.undo === undefined ? [] : [step.undo]))
    .reverse()
}
