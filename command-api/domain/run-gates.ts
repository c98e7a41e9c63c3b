import { DateTime } from 'luxon'
import type { Meta } from '../../schemas/kernel.ts'
import type { RunCommand, RunEvent } from '../../schemas/run.ts'
import { principalText } from '../../schemas/sod.ts'
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
  const { kind: _, expiresSeconds, ...asked } = gate
  const expiresAt = DateTime.fromISO(at, { zone: 'utc' }).plus({ seconds: expiresSeconds }).toISO() ?? at
  return [{ type: 'ApprovalRequested', data: { runId, stepId, ...asked, expiresAt } }]
}

/** What is known of whoever decides, beside what they say. */
export type ApprovalFacts = {
  /** One name for somebody, however they come. */
  person: string
  /** It is asked of them, or left to them. */
  eligible: boolean
  /** A rule that keeps them from it. */
  refused?: { rule: string; detail: string } | undefined
  /** What would be done now differs from what is agreed to. */
  changed?: readonly string[] | undefined
  /** Whether somebody to whom it is left holds the permission. */
  delegatePermitted?: boolean | undefined
}

/** One word for each person, however often it is given. */
export function grant(
  data: DataOf<'grant-approval'>,
  state: KnownRun,
  meta: Meta,
  facts: ApprovalFacts | undefined,
): RunEvent[] {
  const { runId, stepId, digest, reason } = data
  const gate = approval(stepId, state)
  const by = whoIs(meta, facts)
  if (gate.by.includes(by)) return []
  if (gate.status === 'passed') return []
  mustBeOpen(stepId, gate, meta.at)
  mustBeTheirs(gate, by, facts)
  if (facts?.refused) {
    const { rule, detail } = facts.refused
    if (gate.refused.includes(by)) throw new DomainError('self-approval-refused', `the rule ${rule}: ${detail}`)
    return [{ type: 'SelfApprovalRefused', data: { runId, stepId, by, rule, detail } }]
  }
  if (gate.bound) mustBeThis(gate.bound.digest, digest)
  if (gate.bound && facts?.changed && facts.changed.length > 0)
    return [{ type: 'ApprovalVoided', data: { runId, stepId, digest: gate.bound.digest, changes: [...facts.changed] } }]
  const granted = gate.by.length + 1
  const events: RunEvent[] = [{ type: 'ApprovalGranted', data: { runId, stepId, by, granted, digest, reason } }]
  if (granted >= gate.quorum) events.push({ type: 'ApprovalQuorumReached', data: { runId, stepId } })
  return events
}

export function deny(
  data: DataOf<'deny-approval'>,
  state: KnownRun,
  meta: Meta,
  facts: ApprovalFacts | undefined,
): RunEvent[] {
  const gate = approval(data.stepId, state)
  mustBeOpen(data.stepId, gate, meta.at)
  mustBeTheirs(gate, whoIs(meta, facts), facts)
  return [{ type: 'ApprovalDenied', data }]
}

/** Somebody hands their say to somebody else, who must be permitted to have one. */
export function delegateApproval(
  data: DataOf<'delegate-approval'>,
  state: KnownRun,
  meta: Meta,
  facts: ApprovalFacts | undefined,
): RunEvent[] {
  const { runId, stepId, to, reason } = data
  const gate = approval(stepId, state)
  const by = whoIs(meta, facts)
  if (gate.delegations.some(each => each.by === by && each.to === principalText(to))) return []
  mustBeOpen(stepId, gate, meta.at)
  mustBeTheirs(gate, by, facts)
  if (gate.by.includes(by)) throw new DomainError('approval-not-yours', 'what was said cannot be left to somebody else')
  if (facts?.refused)
    throw new DomainError('self-approval-refused', `the rule ${facts.refused.rule}: ${facts.refused.detail}`)
  if (facts?.delegatePermitted === false || principalText(to) === by)
    throw new DomainError('approval-not-yours', `${principalText(to)} may not approve this run`)
  return [{ type: 'ApprovalDelegated', data: { runId, stepId, by, to, reason } }]
}

const whoIs = ({ actor }: Meta, facts: ApprovalFacts | undefined): string =>
  facts?.person ?? actor.onBehalfOf ?? `${actor.kind}:${actor.id}`

/** Whoever has left it to somebody else has no say any more. */
function mustBeTheirs(gate: Approval, by: string, facts: ApprovalFacts | undefined): void {
  if (gate.delegations.some(each => each.by === by))
    throw new DomainError('approval-not-yours', 'it was left to somebody else')
  if (facts?.eligible === false) throw new DomainError('approval-not-yours', 'it is asked of others')
}

function mustBeThis(wanted: string, given: string | undefined): void {
  if (given === wanted) return
  const said = given === undefined ? 'say which, by its digest' : `it is ${wanted}`
  throw new DomainError('approval-out-of-date', `what is to be approved is not what was named: ${said}`)
}

export function expireApproval(data: DataOf<'expire-approval'>, state: KnownRun, { at }: Meta): RunEvent[] {
  const gate = approval(data.stepId, state)
  if (gate.status !== 'open') return []
  if (at < gate.expiresAt) throw new DomainError('approval-not-open', `it expires at ${gate.expiresAt}`)
  return [{ type: 'ApprovalExpired', data }]
}

/** Agreed to, and something else by the time it is to begin: nothing for one that was voided or asked anew meanwhile. */
export function voidApproval(data: DataOf<'void-approval'>, state: KnownRun): RunEvent[] {
  const gate = state.gates[data.stepId]
  const isThis = gate?.kind === 'approval' && gate.status === 'passed' && gate.bound?.digest === data.digest
  return isThis ? [{ type: 'ApprovalVoided', data }] : []
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
