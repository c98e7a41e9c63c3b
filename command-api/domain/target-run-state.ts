import type { OutputValue } from '../../schemas/expression.ts'
import type { FailureClass } from '../../schemas/failure.ts'
import type { StepRule, TargetRunEvent } from '../../schemas/target-run.ts'

type DataOf<T extends TargetRunEvent['type']> = Extract<TargetRunEvent, { type: T }>['data']
type Claimed = DataOf<'TargetRunClaimed'>
export type StepOutcome = 'succeeded' | 'failed' | 'skipped' | 'cancelled'
/** How a step ended; `attempt` is 0 for one that never started. */
export type EndedStep = {
  attempt: number
  outcome: StepOutcome
  exitCode?: number | undefined
  outputs?: Record<string, OutputValue> | undefined
}
/** What is done after a failure: what undoes earlier steps and the failure handlers, in this order. */
export type Recovery = { steps: readonly string[]; class: FailureClass; detail: string; failedStep: string | undefined }

/** What a target run has come to, whoever works on it. */
export type Progress = {
  targetId: string
  /** Grows by one with every claim; 0 before the first. */
  epoch: number
  /** The newest claim, which holds only in the states `claimed` and `running`. */
  claim: Claimed | undefined
  /** Everything the target may go through, in order. */
  steps: readonly StepRule[]
  /** How often each step was tried. */
  attempts: Readonly<Record<string, number>>
  /** Steps that are over. */
  ended: Readonly<Record<string, EndedStep>>
  recovery: Recovery | undefined
  /** Of this step nobody knows yet whether it took effect, and its check is to be asked. */
  verify: { stepId: string; attempt: number } | undefined
  cancelRequested: boolean
  /** It is stopped because its time was over. */
  timedOut: boolean
  /** The step somebody wants stopped. */
  stepCancel: string | undefined
}
export type TerminalStatus = 'succeeded' | 'failed' | 'cancelled'
export type TargetRun =
  | { status: 'absent' }
  /** Free: between two claims. Not to be claimed again before `notBefore`. */
  | (Progress & { status: 'claimable'; notBefore: string | undefined })
  | (Progress & { status: 'claimed' })
  | (Progress & { status: TerminalStatus })
  | (Progress & { status: 'running'; stepId: string; attempt: number })
  | (Progress & { status: 'waiting'; stepId: string; until: string })
  /** Not an end: a person's word lets it go on. */
  | (Progress & { status: 'needs-attention'; stepId: string | undefined; attempt: number })
export type KnownTargetRun = Exclude<TargetRun, { status: 'absent' }>

/** A step declared idempotent is tried again after an unknown outcome, but not for ever. */
export const MAX_ATTEMPTS = 10

export function isTargetRunFinished(state: TargetRun): boolean {
  switch (state.status) {
    case 'absent':
    case 'claimable':
    case 'claimed':
    case 'running':
    case 'waiting':
    case 'needs-attention':
      return false
    case 'succeeded':
    case 'failed':
    case 'cancelled':
      return true
  }
}

type Plan = Pick<Progress, 'steps' | 'ended' | 'recovery'>

/** The steps that are not over yet, the one that is due first. */
export function remainingSteps({ steps, ended, recovery }: Plan): StepRule[] {
  const wanted = recovery
    ? recovery.steps.map(id => steps.find(step => step.id === id) ?? bareRule(id))
    : steps.filter(step => isMain(step))
  return wanted.filter(step => !Object.hasOwn(ended, step.id))
}

/** Of what remains, what the newest claim is for. */
export function dueSteps(state: Plan & Pick<Progress, 'claim'>): StepRule[] {
  const due = state.claim?.due
  const remaining = remainingSteps(state)
  return due ? remaining.filter(step => due.includes(step.id)) : remaining
}

export const isMain = ({ phase = 'main' }: StepRule): boolean => phase === 'main'
const bareRule = (id: string): StepRule => ({ id, idempotent: false, continueOnError: true, phase: 'handler' })

/** The attempt number the next start of a step carries. */
export const nextAttempt = (state: Pick<Progress, 'attempts'>, stepId: string): number =>
  (Object.hasOwn(state.attempts, stepId) ? (state.attempts[stepId] ?? 0) : 0) + 1

export const ruleOf = (state: Pick<Progress, 'steps'>, stepId: string): StepRule | undefined =>
  state.steps.find(step => step.id === stepId)

/** Whether a step whose outcome nobody knows may be started once more. */
export const mayRepeat = (state: Pick<Progress, 'steps' | 'attempts'>, stepId: string): boolean =>
  ruleOf(state, stepId)?.idempotent === true && nextAttempt(state, stepId) <= MAX_ATTEMPTS

/** Whether its check may tell what became of it. */
export const mayVerify = (state: Pick<Progress, 'steps' | 'attempts'>, stepId: string): boolean =>
  ruleOf(state, stepId)?.checkable === true && nextAttempt(state, stepId) <= MAX_ATTEMPTS

export function evolveTargetRun(state: TargetRun, event: TargetRunEvent): TargetRun {
  if (event.type === 'TargetRunClaimed') return claimed(state, event.data)
  if (event.type === 'StepWaitStarted') return waiting(state, event.data)
  if (state.status === 'absent') return worked(neverClaimed(event), event)
  return worked(state, event)
}

const neverClaimed = (event: TargetRunEvent): KnownTargetRun => ({
  ...unclaimed('targetId' in event.data ? event.data.targetId : ''),
  status: 'claimable',
  notBefore: undefined,
})

/** Before anything happened to it. */
export const unclaimed = (targetId: string): Progress => ({
  targetId,
  epoch: 0,
  claim: undefined,
  steps: [],
  attempts: {},
  ended: {},
  recovery: undefined,
  verify: undefined,
  cancelRequested: false,
  timedOut: false,
  stepCancel: undefined,
})

const before = (state: TargetRun, targetId: string): Progress =>
  state.status === 'absent' ? unclaimed(targetId) : progress(state)

function claimed(state: TargetRun, data: Claimed): TargetRun {
  const { targetId, epoch, steps } = data
  return { ...before(state, targetId), targetId, status: 'claimed', epoch, claim: data, steps }
}

function waiting(state: TargetRun, { targetId, steps, stepId, until }: DataOf<'StepWaitStarted'>): TargetRun {
  return { ...before(state, targetId), targetId, status: 'waiting', steps, stepId, until }
}

function progress(state: KnownTargetRun): Progress {
  const { targetId, epoch, claim, steps, attempts, ended, recovery, verify } = state
  const { cancelRequested, timedOut, stepCancel } = state
  return { targetId, epoch, claim, steps, attempts, ended, recovery, verify, cancelRequested, timedOut, stepCancel }
}

const free = (state: Progress, notBefore?: string): TargetRun => ({ ...state, status: 'claimable', notBefore })

type Worked = Exclude<TargetRunEvent, { type: 'TargetRunClaimed' | 'StepWaitStarted' }>

function worked(state: KnownTargetRun, event: TargetRunEvent): TargetRun {
  return evolveWork(state, event as Worked)
}

function evolveWork(state: KnownTargetRun, event: Worked): TargetRun {
  switch (event.type) {
    case 'StepStarted': {
      const { stepId, attempt } = event.data
      return { ...tried(state, stepId, attempt), status: 'running', stepId, attempt }
    }
    case 'StepSucceeded': {
      const { stepId, attempt, exitCode, outputs } = event.data
      return over(state, stepId, { attempt, outcome: 'succeeded', exitCode, outputs })
    }
    case 'StepFailed': {
      const { stepId, attempt, exitCode } = event.data
      return over(state, stepId, { attempt, outcome: 'failed', exitCode })
    }
    case 'StepCancelled':
      return over(state, event.data.stepId, { attempt: event.data.attempt, outcome: 'cancelled' })
    case 'StepSkipped':
      return { ...state, ended: { ...state.ended, [event.data.stepId]: { attempt: 0, outcome: 'skipped' } } }
    case 'StepWaitEnded':
      return over(state, event.data.stepId, { attempt: 1, outcome: 'succeeded' })
    case 'StepAttemptFailed':
      return { ...state, stepCancel: undefined }
    case 'StepRetryScheduled': {
      const { stepId, attempt, notBefore } = event.data
      return free(tried(state, stepId, attempt), notBefore)
    }
    case 'StepOutcomeUnknown':
      return unknown(state, event.data)
    case 'StepChecked':
      return verified(state, event.data)
    case 'StepResolved':
      return resolved(state, event.data)
    case 'TargetRunHandedBack':
    case 'LeaseExpired':
      return state.status === 'running' ? state : free(progress(state))
    case 'CompensationStarted': {
      const { steps, class: failure, detail } = event.data
      return free({ ...progress(state), recovery: { steps, class: failure, detail, failedStep: lastFailed(state) } })
    }
    case 'StepCancellationRequested':
      return { ...state, stepCancel: event.data.stepId }
    case 'TargetRunCancellationRequested':
      return { ...state, cancelRequested: true, timedOut: event.data.cause === 'timed-out' }
    case 'OutputSealed':
    case 'OutputGapDetected':
    case 'RemoteProcessTerminated':
    case 'TerminationUnconfirmed':
    case 'ReportRejectedStaleEpoch':
    case 'CompensationCompleted':
      return state
    case 'TargetRunSucceeded':
      return { ...progress(state), targetId: event.data.targetId, status: 'succeeded' }
    case 'TargetRunFailed':
      return { ...progress(state), targetId: event.data.targetId, status: 'failed' }
    case 'TargetRunCancelled':
      return { ...progress(state), targetId: event.data.targetId, status: 'cancelled' }
    case 'TargetRunNeedsAttention':
      return attention(progress(state), event.data.stepId)
  }
}

const tried = (state: KnownTargetRun, stepId: string, attempt: number): Progress => ({
  ...progress(state),
  attempts: { ...state.attempts, [stepId]: attempt },
})

const lastFailed = ({ ended }: Progress): string | undefined =>
  Object.keys(ended).findLast(id => ended[id]?.outcome === 'failed')

const attention = (state: Progress, stepId: string | undefined): TargetRun => ({
  ...state,
  verify: undefined,
  status: 'needs-attention',
  stepId,
  attempt: stepId === undefined ? 0 : nextAttempt(state, stepId) - 1,
})

/** The claim goes on while something it is for is left; then the target run is free. */
function over(state: KnownTargetRun, stepId: string, how: EndedStep): TargetRun {
  const after = { ...progress(state), ended: { ...state.ended, [stepId]: how }, stepCancel: undefined }
  const held = state.status === 'claimed' || state.status === 'running'
  return held && dueSteps(after).length > 0 ? { ...after, status: 'claimed' } : free(after)
}

/** By itself it ends what may not be repeated, so that no reading of the log can start it again. */
function unknown(state: KnownTargetRun, { stepId, attempt }: DataOf<'StepOutcomeUnknown'>): TargetRun {
  if (mayRepeat(state, stepId)) return free(progress(state))
  if (mayVerify(state, stepId)) return free({ ...progress(state), verify: { stepId, attempt } })
  return attention(progress(state), stepId)
}

function verified(state: KnownTargetRun, { stepId, attempt, verdict }: DataOf<'StepChecked'>): TargetRun {
  const asked = { ...state, verify: undefined }
  switch (verdict) {
    case 'happened':
      return over(asked, stepId, { attempt, outcome: 'succeeded' })
    case 'did-not-happen':
      return asked
    case 'unclear':
      return attention(progress(asked), stepId)
  }
}

function resolved(state: KnownTargetRun, { stepId, attempt, as }: DataOf<'StepResolved'>): TargetRun {
  switch (as) {
    case 'retry':
      return free(progress(state))
    case 'succeeded':
    case 'failed':
      return over(state, stepId, { attempt, outcome: as })
  }
}
