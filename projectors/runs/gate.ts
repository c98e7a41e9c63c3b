import type { Recorded } from '../../schemas/events.ts'
import type { RunEvent } from '../../schemas/run.ts'
import type { GateDecision } from '../../schemas/run-rows.ts'
import type { GateState, RunState } from './tables.ts'

type GateEvent = Extract<
  RunEvent,
  {
    type:
      | 'ApprovalRequested'
      | 'ApprovalGranted'
      | 'ApprovalQuorumReached'
      | 'ApprovalDenied'
      | 'ApprovalExpired'
      | 'ApprovalDelegated'
      | 'SelfApprovalRefused'
      | 'ApprovalVoided'
      | 'SubRunTriggered'
      | 'SubRunEnded'
  }
>
const gateEvents: ReadonlySet<RunEvent['type']> = new Set<GateEvent['type']>([
  'ApprovalRequested',
  'ApprovalGranted',
  'ApprovalQuorumReached',
  'ApprovalDenied',
  'ApprovalExpired',
  'ApprovalDelegated',
  'SelfApprovalRefused',
  'ApprovalVoided',
  'SubRunTriggered',
  'SubRunEnded',
])
export const isGateEvent = <E extends RunEvent>(event: E): event is E & GateEvent => gateEvents.has(event.type)
export const opensGate = (event: RunEvent): boolean =>
  event.type === 'ApprovalRequested' || event.type === 'SubRunTriggered'

/** A gate of a run after an event about it. */
export function evolveGate(before: GateState | undefined, event: Recorded & GateEvent, run: RunState): GateState {
  const { at } = event.metadata
  if (event.type === 'ApprovalRequested') {
    const { stepId, prompt, quorum, expiresAt, approvers = null, bound = null, shown = null } = event.data
    const asked = { prompt, quorum, expiresAt, approvers, bound, shown, digest: bound?.digest ?? null }
    return { ...opened(event, run, stepId), kind: 'approval', ...asked }
  }
  if (event.type === 'SubRunTriggered') {
    const { stepId, subRunId } = event.data
    return { ...opened(event, run, stepId), kind: 'job-run', subRunId }
  }
  if (!before) throw new Error(`the gate ${event.data.stepId} was never opened`)
  switch (event.type) {
    case 'ApprovalGranted':
      return { ...before, granted: event.data.granted, decisions: decided(before, event, true) }
    case 'ApprovalQuorumReached':
      return { ...before, status: 'passed', closedAt: at }
    case 'ApprovalDenied':
      return { ...before, status: 'denied', decisions: decided(before, event, false), closedAt: at }
    case 'ApprovalExpired':
      return { ...before, status: 'expired', closedAt: at }
    case 'ApprovalDelegated': {
      const { by, to, reason = null } = event.data
      return { ...before, delegations: [...before.delegations, { by, to, at, reason }] }
    }
    case 'SelfApprovalRefused':
      return before
    case 'ApprovalVoided':
      return { ...before, status: 'void', voided: event.data.changes, closedAt: at }
    case 'SubRunEnded':
      return { ...before, status: event.data.status === 'succeeded' ? 'passed' : 'failed', closedAt: at }
  }
}

function decided({ decisions }: GateState, event: Recorded & GateEvent, granted: boolean): GateDecision[] {
  const { actor: by, at } = event.metadata
  const reason = 'reason' in event.data ? (event.data.reason ?? null) : null
  return [...decisions, { by, at, granted, reason }]
}

function opened({ metadata, position }: Recorded, run: RunState, stepId: string): Omit<GateState, 'kind'> {
  return {
    runId: run.runId,
    stepId,
    status: 'pending',
    jobId: run.jobId,
    jobName: run.jobName,
    prompt: null,
    quorum: null,
    granted: 0,
    digest: null,
    approvers: null,
    bound: null,
    shown: null,
    delegations: [],
    voided: [],
    decisions: [],
    subRunId: null,
    openedAt: metadata.at,
    openedCommit: position.commit.toString(),
    expiresAt: null,
    closedAt: null,
  }
}
