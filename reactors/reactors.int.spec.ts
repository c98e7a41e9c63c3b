import pino from 'pino'
import t, { type Test } from 'tap'
import { type Bus, connectBus, subscribeJson } from '../infra/bus.ts'
import { systemClock } from '../infra/clock.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { systemIds } from '../infra/ids.ts'
import { createPool, migrate, type Pool } from '../infra/postgres.ts'
import { defaultRules } from '../infra/safety/default-rules.ts'
import { rulesDigest } from '../infra/safety/rules.ts'
import { type LiveOutput, liveOutput, subjects } from '../schemas/bus.ts'
import { type AnyEvent, streams } from '../schemas/events.ts'
import { startBroker, type TestBroker } from '../test/support/broker.ts'
import { type StartedEventStore, startEventStore } from '../test/support/event-store.ts'
import { ExecutorSide } from '../test/support/executor-side.ts'
import { freshDatabase } from '../test/support/postgres.ts'
import { type Resources, resourcesIn, uptime } from '../test/support/resources.ts'
import { Engine } from './engine.ts'
import { storeOutput } from './ingest/output-store.ts'

const log = pino({ level: process.env.OPSCONDUCTOR_TEST_LOG ?? 'silent' })
const RUN_ENDED = /^Run(Succeeded|PartiallySucceeded|Failed|Cancelled|NeedsAttention)$/

type World = Resources & {
  node: StartedEventStore
  broker: TestBroker
  pool: Pool
  bus: Bus
  /** One more executor, with a name of its own. */
  newExecutor(): ExecutorSide
  /** Ends the engine without ceremony and begins another one that knows nothing. */
  restartEngine(): Promise<void>
  /** Resolves with the events of the stream once one of them is of this type. */
  until(stream: string, type: string | RegExp): Promise<AnyEvent[]>
  runWith(targets: number, job?: Parameters<Resources['job']>[0]): Promise<{ runId: string; targetIds: string[] }>
}

const worlds = new Map<number, Promise<World>>()
/** Starting the parts takes longer than most tests: tests with the same lease share them and end their own runs. */
const shared = (leaseSeconds: number): Promise<World> => {
  const known = worlds.get(leaseSeconds) ?? world(t, leaseSeconds)
  worlds.set(leaseSeconds, known)
  return known
}
const patient = () => shared(15)
const impatient = () => shared(2)

let executors = 0

async function world(t: Test, leaseSeconds: number): Promise<World> {
  const [node, broker, database] = await Promise.all([startEventStore(t), startBroker(t), freshDatabase(t)])
  // On a machine with much other work a thousand target runs take their time.
  const store = connectEventStore(node.connectionString, { appendDeadlineMs: 30_000 })
  const pool = createPool(database.url, log)
  await migrate(pool, log)
  const bus = await connectBus({ url: broker.url, name: 'reactors', log })
  const executorBus = await connectBus({ url: broker.url, name: 'executor', log })
  const resources = resourcesIn(store)
  const begin = () => {
    const engine = new Engine({
      ...{ store, bus, log, leaseSeconds, clock: systemClock, ids: systemIds, after: undefined },
      storeOutput: chunks => storeOutput(pool, chunks),
    })
    void engine.run()
    return engine
  }
  let engine = begin()
  const watching = new AbortController()
  t.teardown(async () => {
    watching.abort()
    await engine.stop()
    await Promise.all([bus.close(), executorBus.close(), pool.end()])
    await store.close()
  })
  return {
    ...resources,
    ...{ node, broker, pool, bus },
    newExecutor: () => {
      executors += 1
      return new ExecutorSide(executorBus, resources.enrol, `east-${executors}`)
    },
    async restartEngine() {
      await engine.stop()
      engine = begin()
    },
    async until(stream, type) {
      const matches = (event: AnyEvent) => (typeof type === 'string' ? event.type === type : type.test(event.type))
      const categories = ['run', 'targetrun', 'target'] as const
      const signal = AbortSignal.any([watching.signal, AbortSignal.timeout(30_000)])
      for await (const batch of store.follow({ categories, after: undefined, signal })) {
        if (batch.events.some(event => event.stream === stream && matches(event))) return resources.events(stream)
      }
      throw new Error(`no ${type} in ${stream}: ${await resources.types(stream)}`)
    },
    async runWith(targets, job) {
      const credentialId = await resources.credential()
      const targetIds = await resources.targets(targets, credentialId)
      const runId = await resources.trigger(await resources.job(job), targetIds, credentialId)
      return { runId, targetIds }
    },
  }
}

t.test('from trigger to the end of the run', async t => {
  const { newExecutor, runWith, until, types, events } = await patient()
  const executor = newExecutor()
  const { runId, targetIds } = await runWith(3)
  const assignments = await executor.pull()
  t.same(assignments.map(a => a.n).sort(), [0, 1, 2])
  const [first] = assignments
  t.match(first, {
    ...{ runId, epoch: 1, leaseSeconds: 15, attempts: {} },
    steps: [{ id: 'uptime', action: { uses: 'ssh.command', with: { command: 'uptime' } }, timeoutSeconds: 60 }],
    target: { name: /^web-/, address: '127.0.0.1', port: 22, hostKey: { policy: 'first-use' } },
    credential: { version: 1, kind: 'password', username: 'deploy' },
    safety: { targets: 3, confirmed: [] },
  })
  t.ok(targetIds.includes(first?.target.targetId ?? ''))
  await Promise.all(assignments.map(assignment => executor.work(assignment)))
  const run = await until(streams.run(runId), RUN_ENDED)
  t.same(
    run.map(event => event.type),
    ['RunRequested', 'TargetsResolved', 'RunStarted', 'RunSucceeded'],
  )
  t.match(run.at(-1)?.data, { counts: { succeeded: 3, failed: 0, cancelled: 0, needsAttention: 0 } })
  t.same(await types(streams.targetRun(runId, 0)), [
    ...['TargetRunClaimed', 'StepStarted', 'StepSucceeded', 'OutputSealed', 'TargetRunSucceeded'],
  ])
  t.match((await events(streams.targetRun(runId, 0)))[0]?.data, { executorId: executor.executorId, epoch: 1 })
})

t.test('an executor is told what was confirmed, if it was confirmed by the rules that hold now', async t => {
  const { newExecutor, trigger, job, targets, credential } = await patient()
  const executor = newExecutor()
  const credentialId = await credential()
  const targetIds = await targets(1, credentialId)
  const finding = { stepId: 'uptime', rule: 'power', decision: 'confirm', reason: 'It goes down.' } as const
  for (const [digest, confirmed] of [
    [rulesDigest(defaultRules), ['power']],
    ['ab'.repeat(32), []],
  ] as const) {
    const safety = { findings: [finding], rulesDigest: digest }
    await trigger(await job(), targetIds, credentialId, { confirm: true }, { safety })
    const [assignment] = await executor.pull()
    t.same(assignment?.safety, { targets: 1, confirmed })
    if (assignment) await executor.work(assignment)
  }
})

t.test('an executor that asks before there is work is answered when it comes, or with none in time', async t => {
  const { newExecutor, runWith, restartEngine, until } = await patient()
  const executor = newExecutor()
  t.same(await executor.pull(1, 50), [])
  const asked = executor.pull(2)
  const { runId } = await runWith(3)
  const first = await asked
  t.equal(first.length, 2, 'no more than it has room for')
  await restartEngine()
  const second = await executor.pull(5)
  t.match(second, [{ runId, epoch: 1 }], 'the claims made before the restart stand')
  for (const assignment of [...first, ...second]) await executor.work(assignment)
  await until(streams.run(runId), 'RunSucceeded')
})

t.test('work that is short is shared by those who ask', async t => {
  const { newExecutor, runWith } = await patient()
  const executor = newExecutor()
  const other = newExecutor()
  await Promise.all([executor, other].map(each => each.pull(1, 10)))
  const both = Promise.all([executor.pull(), other.pull()])
  await runWith(4)
  const [some, rest] = await both
  t.same([some.length, rest.length], [2, 2])
  for (const assignment of some) await executor.work(assignment)
  for (const assignment of rest) await other.work(assignment)
})

t.test('maxParallel holds while target runs come and go', async t => {
  const { newExecutor, runWith, until } = await patient()
  const executor = newExecutor()
  const { runId } = await runWith(5, { maxParallel: 2 })
  let most = 0
  for (let left = 5; left > 0; ) {
    const assignments = await executor.pull()
    most = Math.max(most, assignments.length)
    left -= assignments.length
    for (const assignment of assignments) await executor.work(assignment)
  }
  t.equal(most, 2)
  await until(streams.run(runId), 'RunSucceeded')
})

t.test('what changed between trigger and claim counts as it is at the claim', async t => {
  const { newExecutor, runWith, send, until, types, events } = await patient()
  const executor = newExecutor()
  const held = await runWith(3, { maxParallel: 1 })
  const [running] = await executor.pull()
  if (!running) throw new Error('nothing to run')
  const [, second = '', third = ''] = held.targetIds
  await send('target', { type: 'change-target-address', data: { targetId: second, address: '10.9.8.7', port: 2222 } })
  await send('target', { type: 'decommission-target', data: { targetId: third, reason: 'replaced' } })
  await executor.work(running)
  const [moved] = await executor.pull()
  t.match(moved?.target, { address: '10.9.8.7', port: 2222 })
  if (moved) await executor.work(moved)
  t.same(await executor.pull(16, 500), [])
  const run = await until(streams.run(held.runId), RUN_ENDED)
  t.match(run.at(-1), { type: 'RunPartiallySucceeded', data: { counts: { succeeded: 2, failed: 1 } } })
  t.same(await types(streams.targetRun(held.runId, 2)), ['StepSkipped', 'TargetRunFailed'])
  const [, failed] = await events(streams.targetRun(held.runId, 2))
  t.match(failed?.data, { class: 'internal', detail: /web-2 was decommissioned/ })
})

t.test('a credential revoked after the trigger ends the target run before anything is connected to', async t => {
  const { newExecutor, credential, targets, job, trigger, send, until, events } = await patient()
  const executor = newExecutor()
  const credentialId = await credential()
  const targetIds = await targets(1, credentialId)
  const runId = await trigger(await job(), targetIds, credentialId)
  await send('credential', { type: 'revoke-credential', data: { credentialId, reason: 'leaked' } })
  t.same(await executor.pull(16, 500), [])
  const run = await until(streams.run(runId), RUN_ENDED)
  t.equal(run.at(-1)?.type, 'RunFailed')
  t.match((await events(streams.targetRun(runId, 0))).at(-1)?.data, {
    class: 'credential-unavailable',
    detail: /deploy was revoked/,
  })
})

t.test('a queued run that is cancelled ends without a stream for any of its targets', async t => {
  const { runWith, send, until, types, newExecutor } = await patient()
  const executor = newExecutor()
  const { runId } = await runWith(3)
  await send('run', { type: 'cancel-run', data: { runId, reason: 'wrong target' } })
  const run = await until(streams.run(runId), RUN_ENDED)
  t.match(run.at(-1), { type: 'RunCancelled', data: { counts: { cancelled: 3 } } })
  t.same(await types(streams.targetRun(runId, 0)), [])
  t.same(await executor.pull(4, 50), [])
})

t.test('a running run that is cancelled waits for what is under way', async t => {
  const { runWith, send, until, types, newExecutor } = await patient()
  const executor = newExecutor()
  const { runId } = await runWith(3, { maxParallel: 2 })
  const assignments = await executor.pull()
  const [first, second] = assignments
  if (!first || !second) throw new Error('expected two assignments')
  await executor.startStep(first)
  await send('run', { type: 'cancel-run', data: { runId } })
  await until(streams.run(runId), 'RunCancellationRequested')
  const reply = await executor.heartbeat(assignments)
  t.same(reply.cancel.map(({ n }) => n).sort(), [0, 1], 'said again with every heartbeat')
  t.same(executor.controls.map(({ n }) => n).sort(), [0, 1], 'and at once')
  t.match(await executor.startStep(second), { status: 'refused', code: 'run-finished' }, 'nothing begins any more')
  t.notOk((await types(streams.run(runId))).includes('RunCancelled'))
  t.match(await executor.cancelled(first), { status: 'recorded' })
  t.match(await executor.cancelled(second, 'not-started'), { status: 'recorded' })
  const run = await until(streams.run(runId), RUN_ENDED)
  t.match(run.at(-1), { type: 'RunCancelled', data: { counts: { cancelled: 3 } } })
  t.match(await executor.heartbeat([first]), { cancel: [], forget: [{ runId, n: first.n, epoch: 1 }] })
})

t.test('a silent executor loses its claims: what began needs a person, the rest is given to another', async t => {
  const { runWith, until, newExecutor } = await impatient()
  const executor = newExecutor()
  const { runId } = await runWith(2)
  const assignments = await executor.pull()
  const [begun, untouched] = assignments
  if (!begun || !untouched) throw new Error('expected two assignments')
  await executor.startStep(begun)
  const other = newExecutor()
  const [taken] = await other.pull(16, 20_000)
  t.match(taken, { n: untouched.n, epoch: 2 })
  if (taken) await other.work(taken)
  const run = await until(streams.run(runId), RUN_ENDED)
  t.match(run.at(-1), { type: 'RunNeedsAttention', data: { counts: { succeeded: 1, needsAttention: 1 } } })
  const history = await until(streams.targetRun(runId, begun.n), 'TargetRunNeedsAttention')
  t.match(history.slice(2), [
    { type: 'LeaseExpired', data: { epoch: 1, executorId: executor.executorId } },
    { type: 'StepOutcomeUnknown', data: { why: 'lease-expired' } },
    { type: 'TargetRunNeedsAttention' },
  ])
  const late = await executor.succeedStep(untouched)
  t.equal(late.status, 'stale')
  const { forget } = await executor.heartbeat(assignments)
  t.same(forget.map(({ n }) => n).sort(), [0, 1])
})

t.test('an idempotent step is tried again after its executor was lost', async t => {
  const steps = [uptime, { ...uptime, id: 'restart', idempotent: true }]
  const { runWith, until, newExecutor, types } = await impatient()
  const executor = newExecutor()
  const { runId } = await runWith(1, { steps })
  const [first] = await executor.pull()
  if (!first) throw new Error('nothing to run')
  await executor.startStep(first)
  await executor.succeedStep(first)
  await executor.startStep(first, 'restart')
  const [again] = await executor.pull(16, 20_000)
  t.match(again, { epoch: 2, attempts: { restart: 2 } })
  t.same(
    again?.steps.map(step => step.id),
    ['restart'],
    'what is over is not done again',
  )
  if (again) await executor.work(again)
  await until(streams.run(runId), 'RunSucceeded')
  t.ok((await types(streams.targetRun(runId, 0))).includes('StepOutcomeUnknown'))
})

t.test('an answer that got lost is taken back, though its executor lives', async t => {
  const { runWith, until, newExecutor, types } = await impatient()
  const executor = newExecutor()
  const { runId } = await runWith(1)
  t.match(await executor.pull(1), [{ n: 0, epoch: 1 }], 'which this executor forgets at once')
  const beating = setInterval(() => void executor.heartbeat([]).catch(() => {}), 400)
  t.teardown(() => clearInterval(beating))
  const [assignment] = await executor.pull(1, 20_000)
  t.match(assignment, { n: 0, epoch: 2 })
  if (assignment) await executor.work(assignment)
  await until(streams.run(runId), 'RunSucceeded')
  t.ok((await types(streams.targetRun(runId, 0))).includes('LeaseExpired'))
})

t.test('what a control plane handed out and nobody got is taken back when the next one begins', async t => {
  const { runWith, restartEngine, newExecutor, types, until } = await patient()
  const executor = newExecutor()
  const { runId } = await runWith(1)
  t.match(await executor.pull(1), [{ n: 0, epoch: 1 }], 'which this executor forgets at once')
  await restartEngine()
  t.same(await newExecutor().pull(1, 10), [], 'somebody answers again')
  const waiting = executor.pull(1, 20_000)
  const since = performance.now()
  const { headers } = await executor.beat([])
  await executor.beat([], headers['opsc-session'])
  const [assignment] = await waiting
  t.match(assignment, { n: 0, epoch: 2 })
  t.ok(performance.now() - since < 5_000, 'and not after half a lease')
  if (assignment) await executor.work(assignment)
  await until(streams.run(runId), 'RunSucceeded')
  t.ok((await types(streams.targetRun(runId, 0))).includes('LeaseExpired'))
})

t.test('an answer to somebody who is gone is taken back at once', async t => {
  const { runWith, until, newExecutor, types } = await impatient()
  const [gone, executor] = [newExecutor(), newExecutor()]
  t.same(await gone.pull(1, 10), [], 'somebody answers')
  gone.pullAndVanish()
  const { runId } = await runWith(1)
  await until(streams.targetRun(runId, 0), 'TargetRunHandedBack')
  const [assignment] = await executor.pull(1)
  t.match(assignment, { n: 0, epoch: 2 })
  if (assignment) await executor.work(assignment)
  await until(streams.run(runId), 'RunSucceeded')
  t.notOk((await types(streams.targetRun(runId, 0))).includes('LeaseExpired'))
})

t.test('heartbeats keep a claim for longer than its lease', async t => {
  const { runWith, until, newExecutor, types } = await impatient()
  const executor = newExecutor()
  const { runId } = await runWith(1)
  const [assignment] = await executor.pull()
  if (!assignment) throw new Error('nothing to run')
  await executor.startStep(assignment)
  const until6s = systemClock.monotonic() + 4_500
  while (systemClock.monotonic() < until6s) {
    t.match(await executor.heartbeat([assignment]), { cancel: [], forget: [] })
    await new Promise(resolve => setTimeout(resolve, 600))
  }
  t.match(await executor.succeedStep(assignment), { status: 'recorded' })
  await until(streams.run(runId), 'RunSucceeded')
  t.notOk((await types(streams.targetRun(runId, 0))).includes('LeaseExpired'))
})

t.test('reports are written once, refused when they come too late, and remembered when they are stale', async t => {
  const { runWith, until, newExecutor, events } = await impatient()
  const executor = newExecutor()
  const { runId } = await runWith(1)
  const [assignment] = await executor.pull()
  if (!assignment) throw new Error('nothing to run')
  const reportId = systemIds.next()
  const twice = await Promise.all([1, 2].map(() => executor.startStep(assignment, 'uptime', 1, reportId)))
  t.same(twice, [{ status: 'recorded' }, { status: 'recorded' }], 'the same report')
  t.match(await executor.startStep(assignment), { status: 'refused', code: 'step-already-started' }, 'another one')
  const stranger = newExecutor()
  t.match(await stranger.succeedStep(assignment), { status: 'refused', code: 'forbidden' })
  await until(streams.targetRun(runId, 0), 'LeaseExpired')
  const told = await executor.startStep(assignment, 'uptime', 1, reportId)
  t.match(told, { status: 'stale', code: 'stale-epoch' }, 'a start that was written is no leave for ever')
  const lateId = systemIds.next()
  const late = await executor.succeedStep(assignment, 'uptime', 1, lateId)
  t.match(late, { status: 'stale', code: 'stale-epoch' })
  const history = await events(streams.targetRun(runId, 0))
  t.equal(history.filter(event => event.type === 'StepStarted').length, 1)
  t.notOk(history.some(event => event.type === 'StepSucceeded'))
})

t.test('a stale report is kept in the history once', async t => {
  const { runWith, until, newExecutor, events } = await impatient()
  const executor = newExecutor()
  const { runId } = await runWith(1)
  const [first] = await executor.pull()
  if (!first) throw new Error('nothing to run')
  await until(streams.targetRun(runId, 0), 'LeaseExpired')
  const reportId = systemIds.next()
  for (let i = 0; i < 2; i += 1) {
    t.match(await executor.startStep(first, 'uptime', 1, reportId), { status: 'stale', code: 'stale-epoch' })
  }
  const rejected = (await events(streams.targetRun(runId, 0))).filter(e => e.type === 'ReportRejectedStaleEpoch')
  t.match(rejected, [{ data: { epoch: 1, currentEpoch: 1, report: 'start-step' } }])
  const [again] = await executor.pull()
  t.match(again, { runId, epoch: 2 })
  if (again) await executor.work(again)
})

t.test('host keys go to the target, from the one who works on it', async t => {
  const { runWith, newExecutor, events } = await patient()
  const executor = newExecutor()
  const { runId, targetIds } = await runWith(1)
  const [assignment] = await executor.pull()
  if (!assignment) throw new Error('nothing to run')
  const targetId = targetIds[0] ?? ''
  const place = { runId, n: 0, epoch: 1, targetId }
  const key = (name: string) => `ssh-ed25519 ${Buffer.from(name).toString('base64')}`
  const observe = (hostKey: string, data = place) =>
    executor.report({ type: 'observe-host-key', data: { ...data, hostKey } })
  t.match(await observe('not a key'), { status: 'refused', code: 'invalid-input' })
  t.match(await observe(key('first'), { ...place, targetId: runId }), { status: 'refused', code: 'invalid-input' })
  t.match(await observe(key('first'), { ...place, epoch: 2 }), { status: 'stale' })
  t.same(await observe(key('first')), { status: 'recorded' })
  t.same(await observe(key('first')), { status: 'recorded' })
  t.match(await observe(key('second')), { status: 'refused', code: 'host-key-mismatch' })
  const data = { ...place, presented: key('third') }
  t.same(await executor.report({ type: 'report-host-key-mismatch', data }), { status: 'recorded' })
  t.match((await events(streams.target(targetId))).slice(1), [
    { type: 'HostKeyObserved', data: { hostKey: key('first'), runId } },
    { type: 'HostKeyMismatchDetected', data: { expected: key('first'), presented: key('second') } },
    { type: 'HostKeyMismatchDetected', data: { presented: key('third') } },
  ])
  await executor.work(assignment)
})

t.test('output is stored once, then shown with its numbers', async t => {
  const { runWith, newExecutor, pool, bus } = await patient()
  const executor = newExecutor()
  const { runId } = await runWith(1)
  const [assignment] = await executor.pull()
  if (!assignment) throw new Error('nothing to run')
  const shown: LiveOutput['chunks'] = []
  subscribeJson(bus, subjects.live(runId), liveOutput, ({ chunks }) => void shown.push(...chunks))
  await bus.flush()
  const chunks = ['one', 'two', 'three'].map((text, i) => executor.chunk(assignment, i + 1, text))
  const [first, second, third] = chunks
  if (!first || !second || !third) throw new Error('three chunks')
  await Promise.all([executor.output([first]), executor.output([second])])
  t.same(await executor.output([second, second, third]), { stored: 3 }, 'sent again with what is new')
  await executor.output([executor.chunk(assignment, 1, 'late', { epoch: 9, attempt: 7, stream: 'stderr' })])
  await executor.work(assignment)
  await bus.flush()
  const { rows } = await pool.query(
    'select output_seq, seq, attempt, epoch, stream, data from output.run_output order by output_seq',
  )
  t.same(
    rows.map(({ seq, attempt, data }) => [seq, attempt, String(data)]),
    [
      [1, 1, 'one'],
      [2, 1, 'two'],
      [3, 1, 'three'],
      [1, 7, 'late'],
    ],
    'also of a claim that is over',
  )
  t.same(
    [...new Set(shown.map(chunk => chunk.outputSeq))],
    rows.map(row => row.output_seq),
  )
})

t.test('reports go on without the database, output waits for it', async t => {
  const { runWith, newExecutor, pool, until } = await patient()
  const executor = newExecutor()
  const { runId } = await runWith(1)
  const [assignment] = await executor.pull()
  if (!assignment) throw new Error('nothing to run')
  await pool.query('alter table output.run_output rename to away')
  await t.rejects(executor.output([executor.chunk(assignment, 1, 'one')]), { code: 'internal' })
  await executor.work(assignment)
  await until(streams.run(runId), 'RunSucceeded')
  await pool.query('alter table output.away rename to run_output')
  t.same(await executor.output([executor.chunk(assignment, 1, 'one')]), { stored: 1 })
})

t.test('what is sent under another name or does not fit is refused', async t => {
  const { newExecutor, broker } = await patient()
  const executor = newExecutor()
  await executor.pull(1, 10)
  const bus = await connectBus({ url: broker.url, name: 'east', log })
  t.teardown(() => bus.close())
  const beat = { executorId: 'west-1', instanceId: systemIds.next(), active: [] }
  const reply = await bus.request(subjects.heartbeat(executor.executorId), JSON.stringify(beat), { timeoutMs: 5_000 })
  t.match(reply.headers, { 'opsc-error': 'wrong-sender' })
  const odd = await bus.request(subjects.heartbeat(executor.executorId), '{}', { timeoutMs: 5_000 })
  t.match(odd.headers, { 'opsc-error': 'bad-payload' })
})

t.test('large jobs are given out a few at a time, each whole', async t => {
  const { runWith, newExecutor, until } = await patient()
  const executor = newExecutor()
  const script = { script: `# ${'x'.repeat(240_000)}`, interpreter: '/bin/sh', arguments: [] }
  const { runId } = await runWith(10, { steps: [{ ...uptime, uses: 'ssh.script', with: script }] })
  let answers = 0
  for (let left = 10; left > 0; answers += 1) {
    const assignments = await executor.pull(16)
    left -= assignments.length
    const [first] = assignments
    t.ok(first && JSON.stringify(first.steps).length > 240_000)
    for (const assignment of assignments) await executor.work(assignment)
  }
  t.equal(answers, 4)
  await until(streams.run(runId), 'RunSucceeded')
})

t.test('what was handed back before the run was cancelled ends as cancelled', async t => {
  const { runWith, newExecutor, until, send, types } = await patient()
  const executor = newExecutor()
  const { runId } = await runWith(2)
  const [first, second] = await executor.pull()
  if (!first || !second) throw new Error('two assignments')
  await executor.startStep(first)
  const { n, epoch } = second
  await send('run', { type: 'cancel-run', data: { runId } })
  const data = { runId, n, epoch, seq: 1, detail: 'the executor is stopping' }
  t.match(await executor.report({ type: 'hand-back-target-run', data }), { status: 'recorded' })
  await until(streams.targetRun(runId, n), 'TargetRunCancelled')
  t.notOk((await types(streams.run(runId))).includes('RunCancelled'), 'the other one still runs')
  await executor.succeedStep(first)
  const run = await until(streams.run(runId), RUN_ENDED)
  t.match(run.at(-1), { type: 'RunCancelled', data: { counts: { succeeded: 1, cancelled: 1 } } })
})

t.test('a broker that is away is no reason to take anything from anybody', async t => {
  const { runWith, newExecutor, until, broker, bus, types } = await impatient()
  const executor = newExecutor()
  const { runId } = await runWith(1)
  const [assignment] = await executor.pull()
  if (!assignment) throw new Error('nothing to run')
  await executor.startStep(assignment)
  await executor.heartbeat([assignment])
  await broker.kill9()
  await new Promise(resolve => setTimeout(resolve, 3_000))
  await broker.restart()
  await bus.flush()
  t.match(await executor.heartbeat([assignment]), { forget: [] })
  t.match(await executor.succeedStep(assignment), { status: 'recorded' })
  await until(streams.run(runId), 'RunSucceeded')
  t.notOk((await types(streams.targetRun(runId, 0))).includes('LeaseExpired'))
})

t.test('the event store goes away while work is given out', async t => {
  const { runWith, newExecutor, node, until } = await patient()
  const executor = newExecutor()
  const { runId } = await runWith(2, { maxParallel: 1 })
  const [first] = await executor.pull()
  if (!first) throw new Error('nothing to run')
  await executor.work(first)
  await until(streams.targetRun(runId, first.n), 'TargetRunSucceeded')
  await node.kill9()
  const asked = executor.pull(4, 25_000)
  await new Promise(resolve => setTimeout(resolve, 2_500))
  await node.restart()
  const [second] = await asked
  t.match(second, { runId, epoch: 1 })
  if (second) await executor.work(second)
  await until(streams.run(runId), 'RunSucceeded')
})

t.test('the event store goes away and comes back', async t => {
  const { runWith, newExecutor, node, until } = await patient()
  const executor = newExecutor()
  const { runId } = await runWith(2)
  const [first, second] = await executor.pull()
  if (!first || !second) throw new Error('two assignments')
  await executor.startStep(first)
  await node.kill9()
  await t.rejects(executor.succeedStep(first), { code: 'internal' }, 'it keeps the report')
  await node.restart()
  const report = async (send: () => Promise<{ status: string }>) => {
    for (;;) {
      const reply = await send().catch(() => undefined)
      if (reply) return reply.status
    }
  }
  t.equal(await report(() => executor.succeedStep(first)), 'recorded')
  await executor.work(second)
  await until(streams.run(runId), 'RunSucceeded')
})

t.test('a thousand target runs', async t => {
  const { runWith, newExecutor, until } = await patient()
  const executor = newExecutor()
  const count = 1_000
  const { runId } = await runWith(count)
  const from = systemClock.monotonic()
  const cpu = process.cpuUsage()
  for (let left = count; left > 0; ) {
    const assignments = await executor.pull(64)
    left -= assignments.length
    await Promise.all(assignments.map(assignment => executor.work(assignment)))
  }
  const run = await until(streams.run(runId), RUN_ENDED)
  const ms = systemClock.monotonic() - from
  const { user, system } = process.cpuUsage(cpu)
  t.match(run.at(-1), { type: 'RunSucceeded', data: { counts: { succeeded: count } } })
  const perTarget = (user + system) / 1000 / count
  t.comment(`${count} target runs in ${Math.round(ms)} ms; ${perTarget.toFixed(2)} ms CPU each, both sides together`)
})
