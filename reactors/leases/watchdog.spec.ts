import { pino } from 'pino'
import t from 'tap'
import { DomainError } from '../../command-api/domain/index.ts'
import { derivedId } from '../../infra/ids.ts'
import type { AnyEvent } from '../../schemas/events.ts'
import { History } from '../../test/support/history.ts'
import type { Commands } from '../commands.ts'
import { ActiveRuns } from '../runs/active-runs.ts'
import { Watchdog } from './watchdog.ts'

const LEASE = 15_000
const runId = derivedId('run', 'nightly')
const targetId = derivedId('target', 'web')
const initiator = { kind: 'user', id: 'anna' } as const
const history: AnyEvent[] = [
  {
    type: 'RunRequested',
    data: {
      ...{ runId, jobId: derivedId('job', 'uptime'), jobVersion: 1, jobName: 'uptime', targets: 1, initiator },
      selection: { targetIds: [targetId] },
    },
  },
  { type: 'TargetsResolved', data: { runId, from: 0, targetIds: [targetId] } },
  {
    type: 'TargetRunClaimed',
    data: {
      ...{ runId, n: 0, targetId, epoch: 1, executorId: 'east-1', executorKey: 'k'.repeat(43) },
      ...{ deadline: '2026-03-01T12:00:15.000Z', target: { name: 'web', address: '10.0.0.1', port: 22 } },
      steps: [{ id: 'uptime', idempotent: false, continueOnError: false }],
    },
  },
]
const beat = { executorId: 'east-1', instanceId: derivedId('instance', 1), active: [{ runId, n: 0, epoch: 1 }] }
const held = { cancel: [], forget: [], handBack: [], cancelSteps: [] }

/** A watchdog over one claim, with a clock to be set and the log's answers to be given. */
function watching() {
  const told = new History()
  const runs = new ActiveRuns(undefined)
  for (const event of history) runs.apply(told.record(event))
  let now = 0
  const asked: Array<{ command: unknown; resolve(): void; reject(error: Error): void }> = []
  const commands = {
    send: (_name: string, command: unknown) =>
      new Promise<unknown>((resolve, reject) => asked.push({ command, resolve: () => resolve(undefined), reject })),
  } as unknown as Commands
  const clock = { now: () => new Date(now).toISOString(), monotonic: () => now }
  const log = pino({ level: 'silent' })
  const watchdog = new Watchdog({ commands, runs, clock, log, leaseSeconds: LEASE / 1_000 })
  return {
    watchdog,
    asked,
    tell: (event: AnyEvent) => runs.apply(told.record(event)),
    claim: () => runs.get(runId)?.claims.get(0),
    /** Ticks go by as they do, so that none looks as if the process had stood still. */
    until(time: number) {
      for (; now < time; now += 500) watchdog.tick()
    },
    settled: () => new Promise(resolve => setImmediate(resolve)),
  }
}

t.test('an executor is not heard while its claim is being ended', async t => {
  const { watchdog, asked, until, settled } = watching()
  until(1_000)
  t.same(await watchdog.heartbeat(beat, true), held)
  until(17_500)
  t.match(asked, [{ command: { type: 'expire-lease', data: { runId, n: 0, epoch: 1, started: false } } }])
  t.equal(await watchdog.heartbeat(beat, true), undefined, 'or it would begin what others are about to be given')
  asked[0]?.reject(new Error('the event store does not answer'))
  await settled()
  t.equal(await watchdog.heartbeat(beat, true), undefined, 'the end may be in the log all the same')
  until(18_500)
  t.equal(asked.length, 2, 'asked for again, although a heartbeat came meanwhile')
  asked[1]?.resolve()
  await settled()
  t.equal(await watchdog.heartbeat(beat, true), undefined, 'the log has not told it yet')
  until(40_000)
  t.equal(asked.length, 2)
})

t.test('a step that was started while the end of its claim was asked for is not given up with it', async t => {
  const { watchdog, asked, tell, until, settled } = watching()
  until(17_500)
  asked[0]?.reject(new Error('the event store does not answer'))
  await settled()
  const at = '2026-03-01T12:00:00.000Z'
  tell({ type: 'StepStarted', data: { runId, n: 0, stepId: 'uptime', attempt: 1, epoch: 1, at } })
  until(18_500)
  t.match(asked[1]?.command, { data: { started: false } }, 'asked again as it was judged')
  asked[1]?.reject(new DomainError('step-already-started', 'it was'))
  await settled()
  t.same(await watchdog.heartbeat(beat, true), held, 'its executor is heard again')
  until(30_000)
  t.equal(asked.length, 2)
})

t.test('a claim that turns out to be worked on is held again', async t => {
  const { watchdog, asked, until, settled } = watching()
  until(1_000)
  await watchdog.heartbeat(beat, true)
  until(17_500)
  asked[0]?.reject(new DomainError('step-already-started', 'the step uptime was started meanwhile'))
  await settled()
  t.same(await watchdog.heartbeat(beat, true), held)
})

t.test('who took over does not end what an executor has got from the process before meanwhile', async t => {
  const taken = watching()
  const nothing = { ...beat, active: [] }
  taken.watchdog.beginSession()
  taken.until(500)
  await taken.watchdog.heartbeat(nothing, true)
  taken.watchdog.started(taken.claim(), 1)
  taken.until(15_500)
  t.same(taken.asked, [], 'it is named in the next heartbeat, or has a whole lease')
  const lost = watching()
  lost.watchdog.beginSession()
  lost.until(500)
  await lost.watchdog.heartbeat(nothing, true)
  lost.watchdog.started(lost.claim(), 2)
  lost.until(1_000)
  t.match(lost.asked, [{ command: { type: 'expire-lease', data: { n: 0, epoch: 1 } } }], 'nobody has got it')
})
