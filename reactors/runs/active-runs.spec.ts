import t from 'tap'
import { derivedId } from '../../infra/ids.ts'
import type { AnyEvent } from '../../schemas/events.ts'
import { History } from '../../test/support/history.ts'
import { ActiveRuns } from './active-runs.ts'
import { nextActions } from './next-actions.ts'

const AT = '2026-03-01T12:00:00.000Z'
const nightly = derivedId('run', 'nightly')
const urgent = derivedId('run', 'urgent')
const targetId = (n: number) => derivedId('target', n)

type Requested = Extract<AnyEvent, { type: 'RunRequested' }>['data']

const requested = (runId: string, targets: number, rest: Partial<Requested> = {}): AnyEvent[] => [
  {
    type: 'RunRequested',
    data: {
      runId,
      jobId: derivedId('job', 'uptime'),
      jobVersion: 1,
      jobName: 'uptime',
      selection: { labels: 'env=prod' },
      targets,
      initiator: { kind: 'user', id: 'anna' },
      access: 'shared',
      ...rest,
    },
  },
  {
    type: 'TargetsResolved',
    data: { runId, from: 0, targetIds: Array.from({ length: targets }, (_, n) => targetId(n)) },
  },
]
const claimed = (runId: string, n: number, epoch = 1, executorId = 'east-1', due?: string[]): AnyEvent => ({
  type: 'TargetRunClaimed',
  data: {
    runId,
    n,
    targetId: targetId(n),
    epoch,
    executorId,
    executorKey: 'k'.repeat(43),
    ...(due && { due }),
    deadline: '2026-03-01T12:00:15.000Z',
    steps: [{ id: 'uptime', idempotent: false, continueOnError: false }],
    target: { name: `web-${n}`, address: `10.0.0.${n}`, port: 22 },
  },
})
const stepStarted = (runId: string, n: number, epoch = 1): AnyEvent => ({
  type: 'StepStarted',
  data: { runId, n, epoch, stepId: 'uptime', attempt: 1, at: '2026-03-01T12:00:01.000Z' },
})
const expired = (runId: string, n: number, epoch = 1): AnyEvent => ({
  type: 'LeaseExpired',
  data: { runId, n, epoch, executorId: 'east-1' },
})
const succeeded = (runId: string, n: number): AnyEvent => ({
  type: 'TargetRunSucceeded',
  data: { runId, n, targetId: targetId(n) },
})
const failed = (runId: string, n: number): AnyEvent => ({
  type: 'TargetRunFailed',
  data: { runId, n, targetId: targetId(n), class: 'unreachable', detail: 'no route' },
})
const cancelled = (runId: string, n: number): AnyEvent => ({
  type: 'TargetRunCancelled',
  data: { runId, n, targetId: targetId(n), detail: 'too late' },
})
const started = (runId: string): AnyEvent => ({ type: 'RunStarted', data: { runId } })
const cancelRequested = (runId: string): AnyEvent => ({ type: 'RunCancellationRequested', data: { runId } })
const none = { succeeded: 0, failed: 0, cancelled: 0, needsAttention: 0 }

function given(...events: AnyEvent[]) {
  const history = new History()
  const runs = new ActiveRuns(undefined)
  const when = (...more: AnyEvent[]) => {
    for (const event of more) runs.apply(history.record(event))
  }
  when(...events)
  return {
    runs,
    when,
    /** Reserves until there is nothing more, as `run.n`. */
    work: (most = 1000) => {
      const taken: string[] = []
      for (let next = runs.reserve(); next; next = taken.length < most ? runs.reserve() : undefined) {
        taken.push(`${next.run.runId === nightly ? 'nightly' : 'urgent'}.${next.n}`)
      }
      return taken
    },
    due: (runId: string) => {
      const run = runs.get(runId)
      return run && nextActions(run, AT)
    },
  }
}

t.test('a requested run offers each of its targets once, in order', async t => {
  const { work } = given(...requested(nightly, 3))
  t.same(work(), ['nightly.0', 'nightly.1', 'nightly.2'])
  t.same(work(), [])
})

t.test('nothing is done for a run before all of its beginning was told', async t => {
  const [request, targets] = requested(nightly, 2, { plan: [{ id: 'below', gate: true }] }) as [AnyEvent, AnyEvent]
  const { when, due } = given(request)
  t.same(due(nightly), [], 'its targets come with the next event')
  when(targets)
  t.match(due(nightly)?.at(-1), { type: 'open-gate', stepId: 'below' })
})

t.test('runs take turns, so a small one does not wait for a large one', async t => {
  const { work } = given(...requested(nightly, 100), ...requested(urgent, 2))
  t.same(work(5), ['nightly.0', 'urgent.0', 'nightly.1', 'urgent.1', 'nightly.2'])
})

t.test('a run that wants executors with labels is offered to those alone, and holds up nobody', async t => {
  const { runs } = given(...requested(nightly, 2, { executors: 'site in (east,west),!spare' }), ...requested(urgent, 1))
  const offered = (labels?: Record<string, string>) => runs.reserve('default', labels)?.run.runId
  t.equal(offered({ site: 'east', spare: '1' }), urgent)
  t.equal(offered(), undefined)
  t.equal(offered({ site: 'north' }), undefined)
  t.equal(offered({ site: 'east' }), nightly)
  t.equal(offered({ site: 'west', rack: '2' }), nightly)
})

t.test('maxParallel counts what is claimed and what is about to be', async t => {
  const { work, when, runs } = given(...requested(nightly, 5, { maxParallel: 2 }))
  t.same(work(), ['nightly.0', 'nightly.1'])
  when(claimed(nightly, 0), claimed(nightly, 1))
  t.same(work(), [])
  when(succeeded(nightly, 0))
  t.same(work(), ['nightly.2'])
  t.equal(runs.get(nightly)?.reserved, 1)
})

t.test('a place that was not claimed after all is offered again', async t => {
  const { runs, work } = given(...requested(nightly, 2))
  const first = runs.reserve()
  t.equal(first?.n, 0)
  if (first) runs.release(first)
  t.same(work(), ['nightly.0', 'nightly.1'])
})

t.test('releasing a place that somebody else claimed meanwhile changes nothing', async t => {
  const { runs, when, work } = given(...requested(nightly, 1))
  const reservation = runs.reserve()
  when(claimed(nightly, 0, 1, 'west-1'))
  if (reservation) runs.release(reservation)
  t.same(work(), [])
  t.equal(runs.get(nightly)?.claims.get(0)?.executorId, 'west-1')
})

t.test('an expired lease puts the target run back, unless its outcome needs a person', async t => {
  const { when, work, due } = given(
    ...requested(nightly, 2),
    claimed(nightly, 0),
    claimed(nightly, 1),
    started(nightly),
  )
  when(expired(nightly, 0))
  t.same(work(), ['nightly.0'])
  when(stepStarted(nightly, 1), expired(nightly, 1), {
    type: 'TargetRunNeedsAttention',
    data: { runId: nightly, n: 1, targetId: targetId(1), detail: 'unknown' },
  })
  t.same(work(), [])
  when(claimed(nightly, 0, 2), succeeded(nightly, 0))
  t.same(due(nightly), [
    { type: 'report-attention', counts: { ...none, succeeded: 1, needsAttention: 1 }, resolved: 0 },
  ])
})

t.test('a lost connection puts a repeatable step back; a step of an older epoch changes nothing', async t => {
  const { when, runs, work } = given(...requested(nightly, 1), claimed(nightly, 0), stepStarted(nightly, 0))
  t.equal(runs.get(nightly)?.claims.get(0)?.started, true)
  when({
    type: 'StepOutcomeUnknown',
    data: { runId: nightly, n: 0, epoch: 1, stepId: 'uptime', attempt: 1, why: 'connection-lost', detail: 'reset' },
  })
  t.same(work(), ['nightly.0'])
  when(claimed(nightly, 0, 2), expired(nightly, 0, 1), stepStarted(nightly, 0, 1))
  t.same(runs.get(nightly)?.claims.get(0), { executorId: 'east-1', epoch: 2, started: false, left: undefined })
})

t.test('a claim heard from the append and from the log counts once, in either order', async t => {
  const { when, runs } = given(...requested(nightly, 1), claimed(nightly, 0), expired(nightly, 0))
  runs.get(nightly)?.claimed(0, { executorId: 'east-1', epoch: 1, started: false })
  t.equal(runs.get(nightly)?.claims.size, 0, 'the append is answered after the log told how the claim ended')
  when(claimed(nightly, 0, 2))
  runs.get(nightly)?.claimed(0, { executorId: 'east-1', epoch: 2, started: false })
  t.equal(runs.get(nightly)?.claims.get(0)?.epoch, 2)
  t.equal(runs.get(nightly)?.lastEpoch(0), 2)
})

/** The last step of a claim fails, and what had been done is undone: told one by one, although appended at once. */
const undoing = (n: number, epoch = 1) => {
  const step = { runId: nightly, n, epoch, stepId: 'uptime', attempt: 1 }
  const output = { bytes: 0, chunks: 0, sha256: 'ab'.repeat(32), truncated: false }
  const end = { seq: 1, at: AT, output, class: 'exit-nonzero', exitCode: 1, detail: 'exit 1' } as const
  const stepFailed: AnyEvent = { type: 'StepFailed', data: { ...step, ...end } }
  const begun = { runId: nightly, n, steps: ['mop-up'], class: end.class, detail: end.detail }
  return [stepFailed, { type: 'CompensationStarted', data: begun } satisfies AnyEvent] as const
}
const claimedFor = (n: number, due: string[]) => claimed(nightly, n, 1, 'east-1', due)

t.test('what was taken between two events of one append is not given out once more', async t => {
  const [stepFailed, compensating] = undoing(0)
  const { when, runs, work } = given(...requested(nightly, 2, { maxParallel: 1 }), claimedFor(0, ['uptime']))
  when(stepFailed)
  const reservation = runs.reserve()
  t.equal(reservation?.n, 0)
  when(compensating)
  t.same(work(), [], 'it is about to be claimed, and one at a time may be')
  if (reservation) runs.release(reservation)
  t.same(work(), ['nightly.0'], 'it was not claimed after all')
})

t.test('what the log tells of the time before a claim does not end it', async t => {
  const [stepFailed, compensating] = undoing(0)
  const { when, runs, work } = given(...requested(nightly, 2, { maxParallel: 1 }), claimedFor(0, ['uptime']))
  const run = runs.get(nightly)
  when(stepFailed)
  runs.reserve()
  run?.claimedHere(0, { executorId: 'west-1', epoch: 2, started: false, left: 1 })
  const attention = { runId: nightly, n: 0, targetId: targetId(0), detail: 'unknown' }
  when(compensating, stepFailed, { type: 'TargetRunNeedsAttention', data: attention })
  t.same(work(), [])
  t.equal(run?.claims.get(0)?.executorId, 'west-1')
  when(claimed(nightly, 0, 2, 'west-1'), expired(nightly, 0, 2))
  t.same(work(), ['nightly.0'], 'what comes after it does')
})

t.test('what needs no executor is free again as soon as the log says what came of it', async t => {
  const [, compensating] = undoing(0)
  const { when, runs, work } = given(...requested(nightly, 1))
  const reservation = runs.reserve()
  if (reservation) runs.settles(reservation)
  when(compensating)
  t.same(work(), ['nightly.0'])
  if (reservation) runs.release(reservation)
  t.same(work(), [], 'whoever took it before does not give it back: it is about to be claimed')
})

t.test('what was taken before all of its failure was told does not wait for what came before', async t => {
  const [stepFailed, compensating] = undoing(0)
  const plan = [{ id: 'uptime' }, { id: 'agreed', gate: true as const }, { id: 'report' }, { id: 'end' }]
  const { when, runs, work } = given(...requested(nightly, 1, { plan }), claimedFor(0, ['uptime']))
  when(stepFailed)
  const reservation = runs.reserve()
  t.equal(reservation?.n, 0)
  when(compensating)
  if (reservation) runs.hold(reservation, { step: 'report' }, ['report'])
  t.equal(runs.get(nightly)?.allCameTo('end'), false, 'nor is it known what it leaves out')
  t.same(work(), ['nightly.0'], 'it is looked at again')
})

t.test('what was found out of a place before somebody took it anew does not hold it up', async t => {
  const [, compensating] = undoing(0)
  const { when, runs, work } = given(...requested(nightly, 1))
  const older = runs.reserve()
  if (older) runs.settles(older)
  when(compensating)
  const newer = runs.reserve()
  t.equal(newer?.n, 0)
  if (older) {
    runs.settles(older)
    runs.hold(older, { step: 'report' })
  }
  when(compensating)
  t.equal(runs.get(nightly)?.held.size, 0)
  t.same(work(), [], 'it is still about to be claimed')
  if (newer) runs.release(newer)
  t.same(work(), ['nightly.0'])
})

t.test('a run starts with its first claim and ends with its last target run', async t => {
  const { when, due } = given(...requested(nightly, 2))
  t.same(due(nightly), [])
  when(claimed(nightly, 0))
  t.same(due(nightly), [{ type: 'start-run' }])
  when(started(nightly), succeeded(nightly, 0), claimed(nightly, 1))
  t.same(due(nightly), [])
  when(failed(nightly, 1))
  t.same(due(nightly), [{ type: 'finish-run', counts: { ...none, succeeded: 1, failed: 1 } }])
  when({ type: 'RunPartiallySucceeded', data: { runId: nightly, counts: { ...none, succeeded: 1, failed: 1 } } })
  t.equal(due(nightly), undefined, 'and is forgotten')
})

t.test('a cancelled run gives nothing out, waits for what is claimed, and counts the rest as cancelled', async t => {
  const { when, work, due, runs } = given(...requested(nightly, 5), started(nightly))
  const reserved = runs.reserve()
  when(claimed(nightly, 1), claimed(nightly, 2), expired(nightly, 2), cancelRequested(nightly))
  t.same(work(), [])
  t.same(
    due(nightly),
    [{ type: 'end-unclaimed-target-run', n: 2, why: 'cancelled' }],
    'what has a stream is told its end',
  )
  when(cancelled(nightly, 2))
  t.same(due(nightly), [], 'one is claimed and one is about to be')
  if (reserved) runs.release(reserved)
  when(succeeded(nightly, 1))
  t.same(due(nightly), [{ type: 'finish-run', counts: { ...none, succeeded: 1, cancelled: 4 } }])
})

t.test('a run cancelled before anything was claimed ends at once', async t => {
  const { due } = given(...requested(nightly, 5), cancelRequested(nightly))
  t.same(due(nightly), [{ type: 'finish-run', counts: { ...none, cancelled: 5 } }])
})

t.test('reading may begin before the oldest run that has not ended', async t => {
  const { when, runs } = given(...requested(nightly, 1), ...requested(urgent, 1))
  t.equal(runs.lowWater, undefined, 'the beginning of the log')
  when(cancelRequested(nightly), { type: 'RunCancelled', data: { runId: nightly, counts: { ...none, cancelled: 1 } } })
  t.equal(runs.lowWater?.commit, 20n, 'the last event before the request of the other run')
  when(cancelRequested(urgent), { type: 'RunCancelled', data: { runId: urgent, counts: { ...none, cancelled: 1 } } })
  t.equal(runs.lowWater?.commit, 80n)
  runs.passed({ commit: 95n, prepare: 95n })
  t.equal(runs.lowWater?.commit, 95n)
  t.equal(runs.size, 0)
})

t.test('a claim outlives its run until it ends, so that its lease can expire', async t => {
  const { when, runs, work, due } = given(...requested(nightly, 1), cancelRequested(nightly), claimed(nightly, 0))
  when({ type: 'RunCancelled', data: { runId: nightly, counts: { ...none, cancelled: 1 } } })
  t.equal(runs.get(nightly)?.claims.size, 1)
  t.same(due(nightly), [])
  when(expired(nightly, 0))
  t.same(due(nightly), [{ type: 'end-unclaimed-target-run', n: 0, why: 'cancelled' }], 'it goes no further')
  when(cancelled(nightly, 0))
  t.equal(runs.get(nightly), undefined)
  when(claimed(urgent, 0))
  t.equal(runs.get(urgent)?.claims.size, 1, 'a claim on a run that began before the place we read from')
  t.same(work(), [])
  when(succeeded(urgent, 0))
  t.equal(runs.size, 0)
})

t.test('what a person says of a run that has ended is not left hanging', async t => {
  const { when, runs, due } = given(...requested(nightly, 1), cancelRequested(nightly), claimed(nightly, 0))
  const unclear = { runId: nightly, n: 0, targetId: targetId(0), stepId: 'uptime', detail: 'unknown' }
  when({ type: 'TargetRunNeedsAttention', data: unclear })
  when({ type: 'RunCancelled', data: { runId: nightly, counts: { ...none, needsAttention: 1 } } })
  t.equal(runs.size, 0)
  const word = { stepId: 'uptime', attempt: 1, epoch: 1, as: 'retry', reason: 'it is still there' } as const
  when({ type: 'StepResolved', data: { runId: nightly, n: 0, ...word } })
  t.same(due(nightly), [{ type: 'end-unclaimed-target-run', n: 0, why: 'cancelled' }])
  when(cancelled(nightly, 0))
  t.equal(runs.size, 0)
})

t.test('a run that is to be skipped for an older one is not begun when that one ends', async t => {
  const { runs, when, work } = given(...requested(nightly, 1), ...requested(urgent, 1, { overlap: 'skip' }))
  t.ok(runs.get(urgent)?.waitsForOlder)
  when(claimed(nightly, 0), started(nightly), succeeded(nightly, 0))
  when({ type: 'RunSucceeded', data: { runId: nightly, counts: { ...none, succeeded: 1 } } })
  t.same(work(), [], 'it is being rejected')
})

t.test('a run that a step triggered may have ended before it is known to be triggered', async t => {
  const { when, due } = given(...requested(nightly, 1, { plan: [{ id: 'uptime' }, { id: 'other', gate: true }] }))
  const parent = { runId: nightly, stepId: 'other', depth: 1 }
  when(claimed(nightly, 0), started(nightly), succeeded(nightly, 0))
  t.same(due(nightly), [{ type: 'open-gate', stepId: 'other' }], 'the run does not end before')
  when(...requested(urgent, 1, { parent }), {
    type: 'RunRejected',
    data: { runId: urgent, why: 'overlap', detail: '' },
  })
  when({ type: 'SubRunTriggered', data: { runId: nightly, stepId: 'other', subRunId: urgent, jobId: urgent } })
  t.same(due(nightly), [{ type: 'close-sub-run', stepId: 'other', subRunId: urgent, status: 'rejected' }])
})

t.test('what the log tells again changes nothing', async t => {
  const history = new History()
  const runs = new ActiveRuns(undefined)
  const log = [
    ...requested(nightly, 1),
    cancelRequested(nightly),
    { type: 'RunCancelled', data: { runId: nightly, counts: { ...none, cancelled: 1 } } } as const,
  ].map(event => history.record(event))
  for (const event of [...log, ...log]) runs.apply(event)
  t.equal(runs.size, 0)
  runs.passed({ commit: 15n, prepare: 15n })
  t.equal(runs.lowWater?.commit, 40n)
})

const unclear = (runId: string, n: number): AnyEvent[] => [
  claimed(runId, n),
  stepStarted(runId, n),
  expired(runId, n),
  { type: 'TargetRunNeedsAttention', data: { runId, n, targetId: targetId(n), detail: 'unknown' } },
]
const needsPeople = (runId: string, needsAttention: number): AnyEvent => ({
  type: 'RunNeedsAttention',
  data: { runId, counts: { ...none, needsAttention } },
})

t.test('people are called again when what they decided came to the same', async t => {
  const { when, due } = given(...requested(nightly, 1), ...unclear(nightly, 0), started(nightly))
  const counts = { ...none, needsAttention: 1 }
  t.same(due(nightly), [{ type: 'report-attention', counts, resolved: 0 }])
  when(needsPeople(nightly, 1))
  t.same(due(nightly), [], 'once')
  when(
    {
      type: 'StepResolved',
      data: { runId: nightly, n: 0, epoch: 1, stepId: 'uptime', attempt: 1, as: 'retry', reason: 'try' },
    },
    claimed(nightly, 0, 2),
    stepStarted(nightly, 0, 2),
    expired(nightly, 0, 2),
    { type: 'TargetRunNeedsAttention', data: { runId: nightly, n: 0, targetId: targetId(0), detail: 'unknown' } },
  )
  t.same(due(nightly), [{ type: 'report-attention', counts, resolved: 1 }])
  when({ type: 'RunNeedsAttention', data: { runId: nightly, counts, resolved: 1 } })
  t.same(due(nightly), [])
})

t.test('a run whose other targets wait at a barrier for one that needs a person needs one too', async t => {
  const plan = [{ id: 'uptime' }, { id: 'report', barrier: true as const }]
  const { runs, when, due } = given(...requested(nightly, 2, { plan }), started(nightly), ...unclear(nightly, 0))
  when(claimed(nightly, 1), stepStarted(nightly, 1))
  t.same(due(nightly), [], 'while somebody works on the other one')
  when({ type: 'TargetRunHandedBack', data: { runId: nightly, n: 1, epoch: 1, seq: 1, detail: 'its part is over' } })
  t.same(due(nightly), [], 'or it may go on')
  const reservation = runs.reserve()
  if (reservation) runs.hold(reservation, { step: 'report' })
  t.same(due(nightly), [{ type: 'report-attention', counts: { ...none, needsAttention: 1 }, resolved: 0 }])
})

t.test('a run whose other targets are kept by a run that needs a person needs one too', async t => {
  const alone = { access: 'exclusive' } as const
  const joined = { ...alone, plan: [{ id: 'uptime' }, { id: 'report', barrier: true as const }] }
  const { runs, work, when, due } = given(...requested(urgent, 1, joined), started(urgent), ...unclear(urgent, 0))
  when(...requested(nightly, 2, alone), started(nightly))
  t.same(work(), ['nightly.1'], 'the other target is taken')
  when(...unclear(nightly, 1))
  t.same(due(nightly), [], 'nobody has said yet that the other run stands still')
  when(needsPeople(urgent, 1))
  t.same(
    runs.heldUp().map(run => run.runId),
    [nightly],
  )
  t.same(due(nightly), [{ type: 'report-attention', counts: { ...none, needsAttention: 1 }, resolved: 0 }])
  when({
    type: 'StepResolved',
    data: {
      runId: urgent,
      n: 0,
      epoch: 1,
      stepId: 'uptime',
      attempt: 1,
      as: 'retry',
      reason: 'nothing of it was there',
    },
  })
  t.same(due(nightly), [], 'the other run goes on, and so may this one')
})

t.test('a barrier of a run that was stopped waits for those that began, and for nobody else', async t => {
  const plan = [{ id: 'uptime' }, { id: 'report', barrier: true as const }]
  const alone = { access: 'exclusive', plan } as const
  const { runs, when } = given(...requested(nightly, 4, alone), started(nightly))
  const run = runs.get(nightly)
  const first = runs.reserve()
  if (first) runs.hold(first, { step: 'report' }, ['uptime'])
  when(claimed(nightly, 1), claimed(nightly, 2), claimed(nightly, 3), failed(nightly, 1))
  when({ type: 'RunStopped', data: { runId: nightly, failed: 1 } })
  const skipped = (n: number): AnyEvent => ({
    type: 'StepSkipped',
    data: { runId: nightly, n, epoch: 1, stepId: 'uptime', why: 'condition' },
  })
  when(skipped(2))
  t.equal(run?.mayBegin('report'), false, 'the fourth is at work; the first left it out and never begins')
  when(skipped(3))
  t.equal(run?.mayBegin('report'), true)
})

t.test('a yes counts as used once something begins that hangs on it, and not before', async t => {
  const plan = [{ id: 'uptime' }, { id: 'sign-off', gate: true as const }, { id: 'report' }]
  const approval = { prompt: 'Go?', quorum: 1, expiresSeconds: 60 }
  const sha = 'ab'.repeat(32)
  const bound = { digest: sha, jobDigest: sha, parameters: sha, targets: sha, credentials: [] }
  const asked = (stepId: string): AnyEvent => {
    const data = { runId: nightly, stepId, prompt: 'Go?', quorum: 1, expiresAt: '2026-03-01T13:00:00.000Z', bound }
    return { type: 'ApprovalRequested', data }
  }
  const passed = (stepId: string): AnyEvent => ({ type: 'ApprovalQuorumReached', data: { runId: nightly, stepId } })
  const { runs, when, work } = given(...requested(nightly, 2, { plan, approval }))
  const unused = (stepId: string) =>
    runs
      .get(nightly)
      ?.unusedAgreements(stepId)
      .map(each => each.stepId)
  when(asked('job-approval'))
  t.same([unused('uptime'), work()], [[], []], 'it was not given yet')
  when(passed('job-approval'))
  t.same(unused('uptime'), ['job-approval'])
  when(cancelled(nightly, 1))
  t.same(unused('uptime'), ['job-approval'], 'one that is left alone has not begun')
  when(claimed(nightly, 0, 1, 'east-1', ['uptime']))
  t.same([unused('uptime'), unused('report')], [[], []])
  when(asked('sign-off'), passed('sign-off'))
  t.same([unused('uptime'), unused('report')], [[], ['sign-off']])
  when({ type: 'ApprovalVoided', data: { runId: nightly, stepId: 'sign-off', digest: sha, changes: ['moved'] } })
  t.same(unused('report'), [])
  t.equal(runs.get(nightly)?.mayBegin('report'), false)
  when(asked('sign-off'), passed('sign-off'))
  t.same(unused('report'), ['sign-off'], 'as it was given anew')
  when(expired(nightly, 0), claimed(nightly, 0, 2, 'east-1', ['report']))
  t.same(unused('report'), [])
})
