import type { TargetRunEvent } from '../../schemas/run.ts'

type Claimed = Extract<TargetRunEvent, { type: 'TargetRunClaimed' }>['data']
export type StepRule = Claimed['steps'][number]
export type StepOutcome = 'succeeded' | 'failed' | 'skipped' | 'cancelled'

/** What a target run has come to, whoever works on it. */
export type Progress = {
  targetId: string
  /** Grows by one with every claim; 0 before the first. */
  epoch: number
  /** The newest claim, which holds only in the states `claimed` and `running`. */
  claim: Claimed | undefined
  steps: readonly StepRule[]
  /** How often each step was started. */
  attempts: Readonly<Record<string, number>>
  /** Steps that are over, with the attempt that ended them (0 for one that never started). */
  ended: Readonly<Record<string, { attempt: number; outcome: StepOutcome }>>
}
export type TerminalStatus = 'succeeded' | 'failed' | 'cancelled' | 'needs-attention'
export type TargetRun =
  | { status: 'absent' }
  /** `claimable`: handed back, or its lease is over and nothing of unknown outcome was started. */
  | (Progress & { status: 'claimable' | 'claimed' | TerminalStatus })
  | (Progress & { status: 'running'; stepId: string; attempt: number })
export type KnownTargetRun = Exclude<TargetRun, { status: 'absent' }>

/** A step declared idempotent is tried again after an unknown outcome, but not for ever. */
export const MAX_ATTEMPTS = 10

export function isTargetRunFinished(state: TargetRun): boolean {
  switch (state.status) {
    case 'absent':
    case 'claimable':
    case 'claimed':
    case 'running':
      return false
    case 'succeeded':
    case 'failed':
    case 'cancelled':
    case 'needs-attention':
      return true
  }
}

/** The steps that are not over yet, the one that is due first. */
export const remainingSteps = (state: Pick<Progress, 'steps' | 'ended'>): StepRule[] =>
  state.steps.filter(step => !Object.hasOwn(state.ended, step.id))

/** The attempt number the next start of a step carries. */
export const nextAttempt = (state: Pick<Progress, 'attempts'>, stepId: string): number =>
  (Object.hasOwn(state.attempts, stepId) ? (state.attempts[stepId] ?? 0) : 0) + 1

/** Whether a step whose outcome nobody knows may be started once more. */
export const mayRepeat = (state: Pick<Progress, 'steps' | 'attempts'>, stepId: string): boolean =>
  state.steps.some(step => step.id === stepId && step.idempotent) && nextAttempt(state, stepId) <= MAX_ATTEMPTS

export function evolveTargetRun(state: TargetRun, event: TargetRunEvent): TargetRun {
  if (event.type === 'TargetRunClaimed') return claimed(state, event.data)
  if (state.status === 'absent')
    return event.type === 'TargetRunCancelled' ? { ...unclaimed(event.data.targetId), status: 'cancelled' } : state
  return worked(state, event)
}

const unclaimed = (targetId: string): Progress => ({
  targetId,
  epoch: 0,
  claim: undefined,
  steps: [],
  attempts: {},
  ended: {},
})

function claimed(state: TargetRun, data: Claimed): TargetRun {
  const before = state.status === 'absent' ? unclaimed(data.targetId) : progress(state)
  return { ...before, status: 'claimed', epoch: data.epoch, claim: data, steps: data.steps }
}

function progress({ targetId, epoch, claim, steps, attempts, ended }: KnownTargetRun): Progress {
  return { targetId, epoch, claim, steps, attempts, ended }
}

function worked(state: KnownTargetRun, event: Exclude<TargetRunEvent, { type: 'TargetRunClaimed' }>): TargetRun {
  switch (event.type) {
    case 'StepStarted': {
      const { stepId, attempt } = event.data
      return {
        ...progress(state),
        status: 'running',
        stepId,
        attempt,
        attempts: { ...state.attempts, [stepId]: attempt },
      }
    }
    case 'StepSucceeded':
      return over(state, event.data.stepId, event.data.attempt, 'succeeded')
    case 'StepFailed':
      return over(state, event.data.stepId, event.data.attempt, 'failed')
    case 'StepCancelled':
      return over(state, event.data.stepId, event.data.attempt, 'cancelled')
    case 'StepSkipped':
      return { ...state, ended: { ...state.ended, [event.data.stepId]: { attempt: 0, outcome: 'skipped' } } }
    case 'StepOutcomeUnknown':
      // By itself it ends what may not be repeated, so that no reading of the log can start it again.
      return { ...progress(state), status: mayRepeat(state, event.data.stepId) ? 'claimable' : 'needs-attention' }
    case 'TargetRunHandedBack':
    case 'LeaseExpired':
      return state.status === 'running' ? state : { ...progress(state), status: 'claimable' }
    case 'OutputSealed':
    case 'OutputGapDetected':
    case 'RemoteProcessTerminated':
    case 'TerminationUnconfirmed':
    case 'ReportRejectedStaleEpoch':
      return state
    case 'TargetRunSucceeded':
      return { ...progress(state), status: 'succeeded' }
    case 'TargetRunFailed':
      return { ...progress(state), status: 'failed' }
    case 'TargetRunCancelled':
      return { ...progress(state), status: 'cancelled' }
    case 'TargetRunNeedsAttention':
      return { ...progress(state), status: 'needs-attention' }
  }
}

function over(state: KnownTargetRun, stepId: string, attempt: number, outcome: StepOutcome): TargetRun {
  return { ...progress(state), status: 'claimed', ended: { ...state.ended, [stepId]: { attempt, outcome } } }
}
