import { DateTime } from 'luxon'
import type { Meta } from '../../schemas/kernel.ts'
import type { RunCommand, RunEvent } from '../../schemas/run.ts'
import { DomainError } from './decider.ts'
import type { Gate, KnownRun } from './run-state.ts'

type DataOf<T extends RunCommand['type']> = Extract<RunCommand, { type: T }>['data']
type Approval = Extract<Gate, { kind: 'approval' }>

export function openGate({ runId, stepId, gate }: DataOf<'open-gate'>, state: KnownRun, at: string): RunEvent[] {
  if (state.gates[stepId]) return []
  if (gate.kind === 'skip') return [{ type: 'RunStepSkipped', data: { runId, stepId, why: 'condition' } }]
  if (gate.kind === 'impossible') {
    const { class: failure, detail } = gate
    return [{ type: 'RunStepFailed', data: { runId, stepId, class: failure, detail } }]
  }
  if (gate.kind === 'job-run')
    return [{ type: 'SubRunTriggered', data: { runId, stepId, subRunId: gate.subRunId, jobId: gate.jobId } }]
  const { prompt, quorum, expiresSeconds } = gate
  const expiresAt = DateTime.fromISO(at, { zone: 'utc' }).plus({ seconds: expiresSeconds }).toISO() ?? at
  return [{ type: 'ApprovalRequested', data: { runId, stepId, prompt, quorum, expiresAt } }]
}

/** One word for each person, however often it is given. */
export function grant(data: DataOf<'grant-approval'>, state: KnownRun, { actor, at }: Meta): RunEvent[] {
  const { stepId } = data
  const gate = approval(stepId, state)
  const by = actor.onBehalfOf ?? `${actor.kind}:${actor.id}`
  if (gate.by.includes(by)) return []
  if (gate.status === 'passed') return []
  mustBeOpen(stepId, gate, at)
  const granted = gate.by.length + 1
  const events: RunEvent[] = [{ type: 'ApprovalGranted', data: { ...data, by, granted } }]
  if (granted >= gate.quorum) events.push({ type: 'ApprovalQuorumReached', data: { runId: data.runId, stepId } })
  return events
}

export function deny(data: DataOf<'deny-approval'>, state: KnownRun, { at }: Meta): RunEvent[] {
  mustBeOpen(data.stepId, approval(data.stepId, state), at)
  return [{ type: 'ApprovalDenied', data }]
}

export function expireApproval(data: DataOf<'expire-approval'>, state: KnownRun, { at }: Meta): RunEvent[] {
  const gate = approval(data.stepId, state)
  if (gate.status !== 'open') return []
  if (at < gate.expiresAt) throw new DomainError('approval-not-open', `it expires at ${gate.expiresAt}`)
  return [{ type: 'ApprovalExpired', data }]
}

export function closeSubRun(data: DataOf<'close-sub-run'>, state: KnownRun): RunEvent[] {
  const gate = state.gates[data.stepId]
  return gate?.kind === 'job-run' && gate.status === 'open' ? [{ type: 'SubRunEnded', data }] : []
}

function approval(stepId: string, state: KnownRun): Approval {
  const gate = state.gates[stepId]
  if (gate?.kind === 'approval') return gate
  throw new DomainError('approval-not-open', `the run does not wait for an approval of ${stepId}`)
}

function mustBeOpen(stepId: string, gate: Approval, at: string): void {
  if (gate.status !== 'open') throw new DomainError('approval-not-open', `the approval of ${stepId} was decided`)
  if (at >= gate.expiresAt) throw new DomainError('approval-expired', `it expired at ${gate.expiresAt}`)
}
