import type { RunEvent } from '../../schemas/run.ts'
import { principalText } from '../../schemas/sod.ts'

type DataOf<T extends RunEvent['type']> = Extract<RunEvent, { type: T }>['data']
export type Requested = DataOf<'RunRequested'>
type Finished = 'succeeded' | 'partially-succeeded' | 'failed' | 'cancelled' | 'timed-out' | 'rejected'
export type Counts = DataOf<'RunSucceeded'>['counts']

/** A step that is done once for the run. `closed`: what needs it will not be done. */
export type Gate =
  | {
      kind: 'approval'
      status: 'open' | 'passed' | 'closed'
      quorum: number
      expiresAt: string
      by: readonly string[]
      approvers: DataOf<'ApprovalRequested'>['approvers']
      bound: DataOf<'ApprovalRequested'>['bound']
      /** Whom a rule has kept from deciding. */
      refused: readonly string[]
      delegations: ReadonlyArray<{ by: string; to: string }>
    }
  | { kind: 'job-run'; status: 'open' | 'passed' | 'closed'; subRunId: string }
  | { kind: 'undone'; status: 'passed' | 'closed' }

export type KnownRun = {
  status: 'queued' | 'awaiting-approval' | 'running' | 'paused' | 'cancelling' | 'needs-attention' | Finished
  requested: Requested
  started: boolean
  paused: boolean
  stopped: boolean
  cancelRequested: boolean
  timedOut: boolean
  /** Why no approval will be given any more, and by whom it was not. */
  rejected: { why: 'approval-denied' | 'approval-expired'; detail: string } | undefined
  gates: Readonly<Record<string, Gate>>
  /** What the last call for people said. */
  attention: { counts: Counts; resolved?: number | undefined } | undefined
  /** In the order of `n`. */
  targetIds: readonly string[]
}
export type Run = { status: 'absent' } | KnownRun

/** Terminal is terminal. */
export function isFinished(state: Run): boolean {
  switch (state.status) {
    case 'absent':
    case 'queued':
    case 'awaiting-approval':
    case 'running':
    case 'paused':
    case 'cancelling':
    case 'needs-attention':
      return false
    case 'succeeded':
    case 'partially-succeeded':
    case 'failed':
    case 'cancelled':
    case 'timed-out':
    case 'rejected':
      return true
  }
}

/** How a run that goes on is called: what holds it up most. */
function ongoing(state: KnownRun): KnownRun {
  const waits = Object.values(state.gates).some(gate => gate.kind === 'approval' && gate.status === 'open')
  if (state.cancelRequested) return { ...state, status: 'cancelling' }
  if (state.paused) return { ...state, status: 'paused' }
  if (waits) return { ...state, status: 'awaiting-approval' }
  return { ...state, status: state.started ? 'running' : 'queued' }
}

const withGate = (state: KnownRun, stepId: string, gate: Gate): KnownRun =>
  ongoing({ ...state, gates: { ...state.gates, [stepId]: gate } })

const changeGate = (state: KnownRun, stepId: string, status: 'passed' | 'closed'): KnownRun => {
  const gate = state.gates[stepId]
  return gate ? withGate(state, stepId, { ...gate, status } as Gate) : state
}

export function evolveRun(state: Run, event: RunEvent): Run {
  if (event.type === 'RunRequested')
    return {
      ...{ status: 'queued', requested: event.data, started: false, paused: false, stopped: false },
      ...{ cancelRequested: false, timedOut: false, rejected: undefined, gates: {}, attention: undefined },
      targetIds: [],
    }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'TargetsResolved':
      return { ...state, targetIds: [...state.targetIds, ...event.data.targetIds] }
    case 'RunStarted':
      return ongoing({ ...state, started: true })
    case 'RunPaused':
      return ongoing({ ...state, paused: true })
    case 'RunResumed':
      return ongoing({ ...state, paused: false })
    case 'RunStopped':
      return { ...state, stopped: true }
    case 'RunCancellationRequested':
      return ongoing({ ...state, cancelRequested: true, timedOut: event.data.cause === 'timed-out' })
    case 'ApprovalRequested': {
      const { stepId, quorum, expiresAt, approvers, bound } = event.data
      const asked = { quorum, expiresAt, approvers, bound, by: [], refused: [], delegations: [] }
      return withGate(state, stepId, { kind: 'approval', status: 'open', ...asked })
    }
    case 'ApprovalQuorumReached':
      return changeGate(state, event.data.stepId, 'passed')
    case 'ApprovalDenied': {
      const { stepId, reason } = event.data
      const rejected = { why: 'approval-denied', detail: `${stepId}: ${reason}` } as const
      return { ...changeGate(state, stepId, 'closed'), rejected }
    }
    case 'ApprovalExpired': {
      const { stepId } = event.data
      const rejected = { why: 'approval-expired', detail: `${stepId}: nobody decided in time` } as const
      return { ...changeGate(state, stepId, 'closed'), rejected }
    }
    case 'ApprovalGranted': {
      const { stepId, by } = event.data
      const gate = state.gates[stepId]
      return gate?.kind === 'approval' ? withGate(state, stepId, { ...gate, by: [...gate.by, by] }) : state
    }
    case 'ApprovalDelegated': {
      const { stepId, by, to } = event.data
      const gate = state.gates[stepId]
      if (gate?.kind !== 'approval') return state
      return withGate(state, stepId, { ...gate, delegations: [...gate.delegations, { by, to: principalText(to) }] })
    }
    case 'SelfApprovalRefused': {
      const { stepId, by } = event.data
      const gate = state.gates[stepId]
      return gate?.kind === 'approval' ? withGate(state, stepId, { ...gate, refused: [...gate.refused, by] }) : state
    }
    case 'ApprovalVoided': {
      const { [event.data.stepId]: _, ...gates } = state.gates
      return ongoing({ ...state, gates })
    }
    case 'RunStepSkipped':
      return withGate(state, event.data.stepId, { kind: 'undone', status: 'passed' })
    case 'RunStepFailed':
      return withGate(state, event.data.stepId, { kind: 'undone', status: 'closed' })
    case 'SubRunTriggered':
      return withGate(state, event.data.stepId, { kind: 'job-run', status: 'open', subRunId: event.data.subRunId })
    case 'SubRunEnded':
      return changeGate(state, event.data.stepId, event.data.status === 'succeeded' ? 'passed' : 'closed')
    case 'RunNeedsAttention':
      return {
        ...state,
        status: 'needs-attention',
        attention: { counts: event.data.counts, resolved: event.data.resolved },
      }
    case 'RunSucceeded':
      return { ...state, status: 'succeeded' }
    case 'RunPartiallySucceeded':
      return { ...state, status: 'partially-succeeded' }
    case 'RunFailed':
      return { ...state, status: 'failed' }
    case 'RunCancelled':
      return { ...state, status: 'cancelled' }
    case 'RunTimedOut':
      return { ...state, status: 'timed-out' }
    case 'RunRejected':
      return { ...state, status: 'rejected' }
  }
}
