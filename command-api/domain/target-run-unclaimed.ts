import type { TargetRunCommand, TargetRunEvent } from '../../schemas/target-run.ts'
import { DomainError } from './decider.ts'
import { endIfLast, failingUnlessUnclear, place, skipRest, skips, targetRunFailed } from './target-run-end.ts'
import { evolveTargetRun, type Progress, remainingSteps, type TargetRun, unclaimed } from './target-run-state.ts'

type DataOf<T extends TargetRunCommand['type']> = Extract<TargetRunCommand, { type: T }>['data']
type Free = { runId: string; n: number; targetId: string; steps: DataOf<'settle-target-run'>['steps'] }

/** A target run nobody holds, with the steps it is to go through. Throws target-run-not-free. */
function freeTargetRun({ targetId, steps }: Pick<Free, 'targetId' | 'steps'>, state: TargetRun): Progress {
  if (state.status === 'absent') return { ...unclaimed(targetId), steps }
  if (state.status === 'claimable') return { ...state, steps }
  throw new DomainError('target-run-not-free', `the target run is ${state.status}`)
}

/** Throws step-out-of-order for one that is over: whoever leaves it out does not know the newest. */
function leftOut(skip: NonNullable<DataOf<'begin-wait'>['skip']>, found: Progress): Set<string> {
  const remaining = new Set(remainingSteps(found).map(({ id }) => id))
  for (const { stepId } of skip)
    if (!remaining.has(stepId)) throw new DomainError('step-out-of-order', `the step ${stepId} is over`)
  return new Set(skip.map(({ stepId }) => stepId))
}

/** All that is left is left out. */
export function settle(data: DataOf<'settle-target-run'>, state: TargetRun): TargetRunEvent[] {
  const found = freeTargetRun(data, state)
  const left = leftOut(data.skip, found)
  if (remainingSteps(found).some(step => !left.has(step.id)))
    throw new DomainError('invalid-input', 'not everything that is left is left out')
  return [...skips(data, found.epoch, data.skip), ...endIfLast(found, data, ...left)]
}

export function beginWait(data: DataOf<'begin-wait'>, state: TargetRun): TargetRunEvent[] {
  if (state.status === 'waiting' && state.stepId === data.stepId) return []
  const found = freeTargetRun(data, state)
  const { skip = [], ...started } = data
  const left = leftOut(skip, found)
  const [due] = remainingSteps(found).filter(step => !left.has(step.id))
  if (due?.id !== data.stepId) throw new DomainError('step-out-of-order', `due is ${due?.id}, not ${data.stepId}`)
  return [...skips(data, found.epoch, skip), { type: 'StepWaitStarted', data: started }]
}

export function endWait(data: DataOf<'end-wait'>, state: TargetRun, at: string): TargetRunEvent[] {
  if (state.status !== 'waiting' || state.stepId !== data.stepId) return []
  if (at < state.until) throw new DomainError('target-run-not-free', `it waits until ${state.until}`)
  return [{ type: 'StepWaitEnded', data }, ...endIfLast(state, data, data.stepId)]
}

/** What is due cannot even be written down. */
export function failUnclaimed(data: DataOf<'fail-unclaimed-target-run'>, state: TargetRun): TargetRunEvent[] {
  return failingUnlessUnclear(freeTargetRun(data, state), data, data)
}

const endings = {
  cancelled: ['cancelled', 'cancelled before any executor took it'],
  stopped: ['stopped', 'not begun: too many other target runs had failed'],
  'timed-out': ['cancelled', 'its time was over'],
  'gate-closed': ['cancelled', 'a step of the whole run did not let it go on'],
} as const

/** Ends what nobody holds, for a reason that lies in the run. */
export function endUnclaimed(data: DataOf<'end-unclaimed-target-run'>, state: TargetRun): TargetRunEvent[] {
  const found = endable(data.targetId, state)
  if (!found) return []
  // It was to stop because its time was over, and nobody held it any more when that was seen to.
  const why = data.why === 'cancelled' && found.timedOut ? 'timed-out' : data.why
  const [skip, detail] = endings[why]
  const rest = skipRest(found, data, skip)
  if (why === 'timed-out') return [...rest, targetRunFailed(found, data, { class: 'timed-out', detail })]
  if (why === 'gate-closed') return [...rest, targetRunFailed(found, data, { class: 'stopped', detail })]
  return [
    ...rest,
    { type: 'TargetRunCancelled', data: { ...place(data), targetId: found.targetId || data.targetId, detail } },
  ]
}

/** Undefined when it has been cancelled already. Throws target-run-taken, target-run-finished, target-run-not-free. */
function endable(targetId: string, state: TargetRun): Progress | undefined {
  switch (state.status) {
    case 'absent':
      return freeTargetRun({ targetId, steps: [] }, state)
    case 'claimable':
    case 'waiting':
      return state
    case 'cancelled':
      return undefined
    case 'claimed':
    case 'running':
      throw new DomainError('target-run-taken', `claimed by ${state.claim?.executorId} with epoch ${state.epoch}`)
    case 'needs-attention':
      throw new DomainError('target-run-not-free', 'a person has to say first what became of a step')
    case 'succeeded':
    case 'failed':
      throw new DomainError('target-run-finished', `the target run has ended: ${state.status}`)
  }
}

/** The time this target may take is over. What runs there is stopped by its executor, which then says so. */
export function timeOut(data: DataOf<'time-out-target-run'>, state: TargetRun): TargetRunEvent[] {
  if (state.status === 'claimed' || state.status === 'running') {
    const wanted = { ...place(data), cause: 'timed-out' } as const
    return state.cancelRequested ? [] : [{ type: 'TargetRunCancellationRequested', data: wanted }]
  }
  return endUnclaimed({ ...data, why: 'timed-out' }, state)
}

/** Somebody wants this one target left alone. What runs there is stopped by its executor, which then says so. */
export function cancelTargetRun(
  data: DataOf<'cancel-target-run'>,
  state: TargetRun,
  targetId: string | undefined,
): TargetRunEvent[] {
  if (state.status === 'cancelled' || (state.status !== 'absent' && state.cancelRequested)) return []
  const wanted: TargetRunEvent = { type: 'TargetRunCancellationRequested', data }
  if (state.status === 'claimed' || state.status === 'running') return [wanted]
  if (state.status === 'needs-attention')
    throw new DomainError('target-run-not-free', 'a person has to say first what became of a step: resolve-step')
  const of = { ...place(data), targetId: state.status === 'absent' ? (targetId ?? '') : state.targetId }
  if (of.targetId === '') throw new DomainError('target-run-not-found', `the run has no target run ${data.n}`)
  const next = evolveTargetRun(state, wanted)
  return [wanted, ...endUnclaimed({ ...of, why: 'cancelled' }, next)]
}
