import t from 'tap'
import type { Recorded } from '../../schemas/events.ts'
import { type Absence, attended } from './absences.ts'
import { recovery } from './recovery.ts'
import { stretches } from './work.ts'

const runId = '0192d3c4-5e6f-7a8b-9c0d-000000000001'
// Only what is looked at.
const event = (at: number, type: string, data: object = {}) =>
  ({
    type,
    stream: type.startsWith('Run') ? `run-${runId}` : `targetrun-${runId}.0`,
    data: { runId, n: 0, ...data },
    recordedAt: new Date(at).toISOString(),
  }) as Recorded
const claimed = (at: number, executorId: string, due = ['first', 'last']) =>
  event(at, 'TargetRunClaimed', { executorId, due })
const step = (at: number, type: string, stepId: string) => event(at, type, { stepId })
const seen = (log: Recorded[]) => stretches(log).map(({ from, to }) => [from, to])

t.test('time counts in which nobody was away who is needed', async t => {
  const absences: Absence[] = [
    { who: 'workers', from: 900, to: 1_200 },
    { who: 'broker', from: 1_100, to: 1_300 },
    { who: 'executor-1', from: 1_500, to: 1_600 },
    { who: 'vault', from: 1_900, to: Number.POSITIVE_INFINITY },
  ]
  t.equal(
    attended(1_000, 2_000, absences, () => true),
    500,
  )
  t.equal(
    attended(1_000, 2_000, absences, who => who !== 'executor-1'),
    600,
  )
  t.equal(
    attended(1_000, 2_000, [], () => true),
    1_000,
  )
})

t.test('a target run is to be worked on from its claim to the end of its last step', async t => {
  t.same(
    seen([
      claimed(1, 'executor-1'),
      step(2, 'StepStarted', 'first'),
      step(3, 'StepSucceeded', 'first'),
      step(5, 'StepStarted', 'last'),
      step(6, 'StepSucceeded', 'last'),
      event(60, 'TargetRunSucceeded'),
    ]),
    [
      [1, 2],
      [2, 3],
      [3, 5],
      [5, 6],
    ],
  )
})

t.test('it stands still while its claim changes hands, and not while a person or nobody has it', async t => {
  const lost = [claimed(1, 'executor-1'), event(4, 'LeaseExpired'), claimed(5, 'executor-2')]
  t.same(seen([...lost, step(6, 'StepStarted', 'first')]), [[1, 6]])
  t.same(
    stretches([...lost, step(6, 'StepStarted', 'first')]).map(({ executors }) => executors.map(({ id }) => id)),
    [['executor-1', 'executor-2']],
  )
  const attention = [
    event(7, 'StepOutcomeUnknown'),
    event(7, 'TargetRunNeedsAttention'),
    step(90, 'StepResolved', 'first'),
  ]
  t.same(seen([claimed(1, 'executor-1'), ...attention]), [[1, 7]])
  const paused = [event(2, 'RunPaused'), event(3, 'TargetRunHandedBack'), event(40, 'RunResumed')]
  t.same(seen([claimed(1, 'executor-1'), ...paused, claimed(50, 'executor-1'), step(51, 'StepStarted', 'first')]), [
    [50, 51],
  ])
})

t.test('of every kill it is told when the next step came, and when what was worked on went on', async t => {
  const kills = [
    { victim: 'executor-2', at: 1_000, readyAfterMs: 400 },
    { victim: 'executor-1', point: 'in mid step', at: 5_000, readyAfterMs: 500 },
  ]
  const log = [claimed(900, 'executor-2'), step(1_700, 'StepStarted', 'first')]
  const found = recovery({
    ...{ kills, log, acks: [1_050, 5_200] },
    faults: [{ what: 'broker down', at: 3_000 }],
    absences: [{ who: 'executor-2', from: 1_000, to: 1_400 }],
    effects: [{ token: 'a', step: 'first', address: '127.0.0.1', at: 1_800 }],
  })
  t.same(found.command, { count: 2, p50: 200, p99: 200, worst: 200 })
  t.same(found.atWork.since, { count: 1, p50: 700, p99: 700, worst: 700 })
  t.same(found.atWork.attended, { count: 1, p50: 300, p99: 300, worst: 300 })
  t.same(found.step.since, { count: 1, p50: 800, p99: 800, worst: 800 })
  t.same(found.step.attended.worst, 800, 'any executor could have done another one')
  t.same([...found.byKind.keys()], ['executor', 'broker down'])
  t.match(found.slowest, [{ since: 800 }, { since: 700, attended: 300 }])
})
