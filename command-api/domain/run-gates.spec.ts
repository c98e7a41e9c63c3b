import t from 'tap'
import type { RunCommand, RunEvent } from '../../schemas/run.ts'
import { specFor, specMeta } from '../../test/support/decider-spec.ts'
import { fold, type Identified } from './decider.ts'
import { run } from './run.ts'
import type { ApprovalFacts } from './run-gates.ts'
import type { RunFacts } from './run-request.ts'

const runId = '0192d3c4-5e6f-7a8b-9c0d-000000000001'
const jobId = '0192d3c4-5e6f-7a8b-9c0d-000000000002'
const subRunId = '0192d3c4-5e6f-7a8b-9c0d-000000000003'
const [web1, web2] = ['0192d3c4-5e6f-7a8b-9c0d-00000000000a', '0192d3c4-5e6f-7a8b-9c0d-00000000000b'] as const
type Command = Identified<RunCommand, 'runId'>

const requested: RunEvent[] = [
  {
    type: 'RunRequested',
    data: {
      ...{ runId, jobId, jobVersion: 1, jobName: 'deploy', selection: { labels: 'env=prod' }, targets: 2 },
      initiator: specMeta.actor,
    },
  },
  { type: 'TargetsResolved', data: { runId, from: 0, targetIds: [web1, web2] } },
]
const started: RunEvent = { type: 'RunStarted', data: { runId } }
const where = { runId, stepId: 'sign-off' }
const asking = { kind: 'approval', prompt: 'Deploy 4.2?', quorum: 2, expiresSeconds: 3600 } as const
const open: Command = { type: 'open-gate', data: { ...where, gate: asking } }
const expiresAt = '2030-01-01T01:00:00.000Z'
const asked: RunEvent = {
  type: 'ApprovalRequested',
  data: { ...where, prompt: 'Deploy 4.2?', quorum: 2, expiresAt },
}
const grant: Command = { type: 'grant-approval', data: { ...where, reason: 'read the plan' } }
const deny: Command = { type: 'deny-approval', data: { ...where, reason: 'not today' } }
const granted = (by: string, count: number): RunEvent => ({
  type: 'ApprovalGranted',
  data: { ...where, by, granted: count, reason: 'read the plan' },
})
const quorum: RunEvent = { type: 'ApprovalQuorumReached', data: where }
const denied: RunEvent = { type: 'ApprovalDenied', data: { ...where, reason: 'not today' } }
const counts = { succeeded: 0, failed: 2, cancelled: 0, needsAttention: 0 }
const spec = (...events: RunEvent[]) => specFor(t, run).given(...requested, ...events)
const statusAfter = (...events: RunEvent[]) => fold(run, [...requested, ...events]).status

t.test('an approval is asked for once and holds up the run', async t => {
  spec(started).when(open).thenRecords(asked)
  spec(started, asked).when(open).thenNothing()
  t.equal(statusAfter(started, asked), 'awaiting-approval')
  t.equal(statusAfter(started, asked, granted('api-key:ann', 1), granted('user:bo', 2), quorum), 'running')
})

t.test('each person counts once towards the quorum', async () => {
  spec(started, asked).when(grant).thenRecords(granted('api-key:ann', 1))
  spec(started, asked, granted('api-key:ann', 1)).when(grant).thenNothing()
  spec(started, asked, granted('user:bo', 1)).when(grant).thenRecords(granted('api-key:ann', 2), quorum)
  spec(started, asked, granted('user:bo', 1), granted('user:cy', 2), quorum).when(grant).thenNothing()
  spec(started).when(grant).thenRejects('approval-not-open')
  spec(started, asked, denied).when(grant).thenRejects('approval-not-open')
})

t.test('a denied or expired approval rejects the run', async t => {
  spec(started, asked).when(deny).thenRecords(denied)
  spec(started, asked, denied).when(deny).thenRejects('approval-not-open')
  const finish: Command = { type: 'finish-run', data: { runId, counts } }
  spec(started, asked, denied)
    .when(finish)
    .thenRecords({
      type: 'RunRejected',
      data: { runId, counts, why: 'approval-denied', detail: 'sign-off: not today' },
    })
  const expire: Command = { type: 'expire-approval', data: where }
  spec(started, asked).when(expire).thenRejects('approval-not-open')
  const early = { ...asked, data: { ...asked.data, expiresAt: specMeta.at } } as RunEvent
  spec(started, early).when(expire).thenRecords({ type: 'ApprovalExpired', data: where })
  spec(started, early).when(grant).thenRejects('approval-expired')
  spec(started, early, { type: 'ApprovalExpired', data: where }).when(expire).thenNothing()
  t.equal(statusAfter(started, { type: 'RunRejected', data: { runId, why: 'overlap', detail: 'x' } }), 'rejected')
})

t.test('a sub-run lets its parent go on when it succeeded', async t => {
  const triggered: RunEvent = { type: 'SubRunTriggered', data: { ...where, subRunId, jobId } }
  spec(started)
    .when({ type: 'open-gate', data: { ...where, gate: { kind: 'job-run', subRunId, jobId } } })
    .thenRecords(triggered)
  const close = (status: string): Command => ({ type: 'close-sub-run', data: { ...where, subRunId, status } })
  const ended = (status: string): RunEvent => ({ type: 'SubRunEnded', data: { ...where, subRunId, status } })
  spec(started, triggered).when(close('succeeded')).thenRecords(ended('succeeded'))
  spec(started, triggered, ended('failed')).when(close('failed')).thenNothing()
  const after = (status: string) => fold(run, [...requested, started, triggered, ended(status)])
  t.match(after('succeeded'), { gates: { 'sign-off': { status: 'passed' } } })
  t.match(after('failed'), { gates: { 'sign-off': { status: 'closed' } } })
})

t.test('a step of the whole run that is left out or cannot be done closes or opens its gate at once', async t => {
  const skip: Command = { type: 'open-gate', data: { ...where, gate: { kind: 'skip' } } }
  const skipped: RunEvent = { type: 'RunStepSkipped', data: { ...where, why: 'condition' } }
  spec(started).when(skip).thenRecords(skipped)
  const why = { class: 'denied', detail: 'job-disabled' } as const
  const failed: RunEvent = { type: 'RunStepFailed', data: { ...where, ...why } }
  spec(started)
    .when({ type: 'open-gate', data: { ...where, gate: { kind: 'impossible', ...why } } })
    .thenRecords(failed)
  t.match(fold(run, [...requested, started, skipped]), {
    status: 'running',
    gates: { 'sign-off': { status: 'passed' } },
  })
  t.match(fold(run, [...requested, started, failed]), { gates: { 'sign-off': { status: 'closed' } } })
})

t.test('a step of the whole run counts, also when it comes last', async () => {
  const [request, resolved] = requested as [Extract<RunEvent, { type: 'RunRequested' }>, RunEvent]
  const plan = [{ id: 'restart' }, { id: 'sign-off', gate: true as const }]
  const given = (...events: RunEvent[]) =>
    specFor(t, run).given({ ...request, data: { ...request.data, plan } }, resolved, started, ...events)
  const all = { succeeded: 2, failed: 0, cancelled: 0, needsAttention: 0 }
  const finish: Command = { type: 'finish-run', data: { runId, counts: all } }
  const data = { runId, counts: all }
  given(asked, granted('user:bo', 1), quorum).when(finish).thenRecords({ type: 'RunSucceeded', data })
  const why = { class: 'denied', detail: 'job-disabled' } as const
  given({ type: 'RunStepFailed', data: { ...where, ...why } })
    .when(finish)
    .thenRecords({ type: 'RunPartiallySucceeded', data })
  const rejected = { why: 'approval-denied', detail: 'sign-off: not today' } as const
  given(asked, denied)
    .when(finish)
    .thenRecords({ type: 'RunRejected', data: { ...data, ...rejected } })
  given({ type: 'SubRunTriggered', data: { ...where, subRunId, jobId } })
    .when(finish)
    .thenRejects('conflict')
  given(asked, { type: 'RunCancellationRequested', data: { runId } })
    .when(finish)
    .thenRecords({ type: 'RunCancelled', data })
})

t.test('a run is paused and resumed; what was repeated changes nothing', async t => {
  const pause: Command = { type: 'pause-run', data: { runId, reason: 'maintenance' } }
  const resume: Command = { type: 'resume-run', data: { runId } }
  const paused: RunEvent = { type: 'RunPaused', data: { runId, reason: 'maintenance' } }
  spec(started).when(pause).thenRecords(paused)
  spec(started, paused).when(pause).thenNothing()
  spec(started, paused).when(resume).thenRecords({ type: 'RunResumed', data: { runId } })
  spec(started).when(resume).thenNothing()
  t.equal(statusAfter(started, paused), 'paused')
  t.equal(statusAfter(paused, { type: 'RunResumed', data: { runId } }), 'queued')
})

t.test('time limits, too many failures and overlap end a run in their own way', async () => {
  const late: Command = { type: 'time-out-run', data: { runId } }
  const overdue: RunEvent = { type: 'RunCancellationRequested', data: { runId, cause: 'timed-out' } }
  spec(started).when(late).thenRecords(overdue)
  spec(started, overdue).when(late).thenNothing()
  const cut = { succeeded: 1, failed: 0, cancelled: 1, needsAttention: 0 }
  spec(started, overdue)
    .when({ type: 'finish-run', data: { runId, counts: cut } })
    .thenRecords({ type: 'RunTimedOut', data: { runId, counts: cut } })
  const stop: Command = { type: 'stop-run', data: { runId, failed: 2 } }
  spec(started)
    .when(stop)
    .thenRecords({ type: 'RunStopped', data: { runId, failed: 2 } })
  spec(started, { type: 'RunStopped', data: { runId, failed: 2 } })
    .when(stop)
    .thenNothing()
  const reject: Command = { type: 'reject-run', data: { runId, why: 'overlap', detail: 'another run' } }
  spec()
    .when(reject)
    .thenRecords({ type: 'RunRejected', data: { runId, why: 'overlap', detail: 'another run' } })
  spec(started).when(reject).thenRejects('run-not-startable')
})

t.test('people are asked for once for the same state of things', async t => {
  const unclear = { ...counts, failed: 1, needsAttention: 1 }
  const ask: Command = { type: 'report-attention', data: { runId, counts: unclear } }
  const told: RunEvent = { type: 'RunNeedsAttention', data: { runId, counts: unclear } }
  spec(started).when(ask).thenRecords(told)
  spec(started, told).when(ask).thenNothing()
  t.equal(statusAfter(started, told), 'needs-attention')
  const again = { runId, counts: unclear, resolved: 1 }
  spec(started, told)
    .when({ type: 'report-attention', data: again })
    .thenRecords({ type: 'RunNeedsAttention', data: again })
  spec(started, told, { type: 'RunNeedsAttention', data: again })
    .when({ type: 'report-attention', data: again })
    .thenNothing()
  spec(started, told)
    .when({ type: 'finish-run', data: { runId, counts } })
    .thenRecords({ type: 'RunFailed', data: { runId, counts } })
})

const digest = 'ab'.repeat(32)
const parts = { jobDigest: digest, parameters: digest, targets: digest, credentials: [] }
const bound = { digest, ...parts }
const askedFor = { ...asked, data: { ...asked.data, bound } } as RunEvent
const ann = 'user:ann'
const facts = (more: Partial<ApprovalFacts> = {}): RunFacts => ({
  ...{ job: { status: 'absent' }, targets: [], credentials: new Map() },
  approval: { person: ann, eligible: true, ...more },
})
const yes = (named?: string): Command => ({ type: 'grant-approval', data: { ...where, digest: named } })
const said = (by: string, count: number): RunEvent => ({
  type: 'ApprovalGranted',
  data: { ...where, by, granted: count, digest },
})

t.test('a yes is said to exactly what was shown', async t => {
  const terms = { kind: 'approval', prompt: 'Deploy 4.2?', quorum: 2, expiresSeconds: 3600, bound } as const
  spec(started)
    .when({ type: 'open-gate', data: { ...where, gate: terms } })
    .thenRecords(askedFor)
  spec(started, askedFor).when(yes(digest), facts()).thenRecords(said(ann, 1))
  spec(started, askedFor)
    .when(yes('cd'.repeat(32)), facts())
    .thenRejects('approval-out-of-date')
  spec(started, askedFor).when(yes(), facts()).thenRejects('approval-out-of-date')
  const voided: RunEvent = { type: 'ApprovalVoided', data: { ...where, digest, changes: ['out of use: web-1'] } }
  const changed = facts({ person: 'user:bo', changed: ['out of use: web-1'] })
  spec(started, askedFor, said(ann, 1)).when(yes(digest), changed).thenRecords(voided)
  t.equal(statusAfter(started, askedFor, voided), 'running')
  spec(started, askedFor, said(ann, 1), voided)
    .when({ type: 'open-gate', data: { ...where, gate: terms } })
    .thenRecords(askedFor)
  spec(started, askedFor, said(ann, 1), voided, askedFor).when(yes(digest), facts()).thenRecords(said(ann, 1))
})

t.test('a yes that is out of date when the run is to begin is void', async t => {
  const passed: RunEvent[] = [said(ann, 2), { type: 'ApprovalQuorumReached', data: where }]
  const changes = ['out of use: web-1']
  const voiding = { type: 'void-approval', data: { ...where, digest, changes } } as const
  const voided: RunEvent = { type: 'ApprovalVoided', data: { ...where, digest, changes } }
  spec(started, askedFor, ...passed)
    .when(voiding)
    .thenRecords(voided)
  spec(started, askedFor, ...passed, voided)
    .when(voiding)
    .thenRecords()
  spec(started, askedFor).when(voiding).thenRecords()
  spec(started, askedFor, ...passed)
    .when({ ...voiding, data: { ...voiding.data, digest: 'cd'.repeat(32) } })
    .thenRecords()
  t.equal(statusAfter(started, askedFor, ...passed, voided, askedFor), 'awaiting-approval')
})

t.test('whoever has a part in it does not approve it, and is told of once', async () => {
  const refused = { rule: 'requester-approver', detail: 'asked for the run' }
  const told: RunEvent = { type: 'SelfApprovalRefused', data: { ...where, by: ann, ...refused } }
  spec(started, askedFor).when(yes(digest), facts({ refused })).thenRecords(told)
  spec(started, askedFor, told).when(yes(digest), facts({ refused })).thenRejects('self-approval-refused')
  spec(started, askedFor)
    .when(yes(digest), facts({ eligible: false }))
    .thenRejects('approval-not-yours')
  spec(started, askedFor)
    .when(deny, facts({ eligible: false }))
    .thenRejects('approval-not-yours')
})

t.test('an approval is left to somebody who may give it, and then is theirs alone', async t => {
  const to = { kind: 'user', id: subRunId } as const
  const leave: Command = { type: 'delegate-approval', data: { ...where, to } }
  const left: RunEvent = { type: 'ApprovalDelegated', data: { ...where, by: ann, to } }
  spec(started, askedFor)
    .when(leave, facts({ delegatePermitted: true }))
    .thenRecords(left)
  spec(started, askedFor)
    .when(leave, facts({ delegatePermitted: false }))
    .thenRejects('approval-not-yours')
  spec(started, askedFor)
    .when(leave, facts({ person: `user:${subRunId}` }))
    .thenRejects('approval-not-yours')
  spec(started, askedFor)
    .when(leave, facts({ refused: { rule: 'r', detail: 'd' } }))
    .thenRejects('self-approval-refused')
  spec(started, askedFor, said(ann, 1)).when(leave, facts()).thenRejects('approval-not-yours')
  spec(started, askedFor, left).when(leave, facts()).thenNothing()
  spec(started, askedFor, left).when(yes(digest), facts()).thenRejects('approval-not-yours')
  const state = fold(run, [...requested, started, askedFor, left])
  t.match(state, { gates: { 'sign-off': { delegations: [{ by: ann, to: `user:${subRunId}` }] } } })
})

t.test('a run whose right was taken back before it began is rejected', async t => {
  const detail = 'user:ann may not trigger it any more'
  const rejected: RunEvent = { type: 'RunRejected', data: { runId, why: 'not-permitted', detail } }
  spec()
    .when({ type: 'reject-run', data: { runId, why: 'not-permitted', detail } })
    .thenRecords(rejected)
  t.equal(statusAfter(rejected), 'rejected')
})
