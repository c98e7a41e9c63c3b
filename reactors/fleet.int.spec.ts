import pino from 'pino'
import t, { type Test } from 'tap'
import { connectBus, requestJson } from '../infra/bus.ts'
import { systemClock } from '../infra/clock.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { enrolSignedText, type Identity, newIdentity, pullSignedText } from '../infra/identity.ts'
import { sha256Hex, systemIds } from '../infra/ids.ts'
import { enrolReply, pullReply, subjects } from '../schemas/bus.ts'
import { streams } from '../schemas/events.ts'
import { startBroker } from '../test/support/broker.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { ExecutorSide } from '../test/support/executor-side.ts'
import { resourcesIn } from '../test/support/resources.ts'
import { Engine } from './engine.ts'

const log = pino({ level: process.env.OPSCONDUCTOR_TEST_LOG ?? 'silent' })
const ANSWER = { timeoutMs: 10_000 }
const firstToken = 'the token of the first executor'
const first = { executorId: 'first', pool: 'default', tokenHash: sha256Hex(firstToken) }

/** Clock of the control plane, which a spec may put forward. */
const clock = { ...systemClock, ahead: 0, now: () => new Date(Date.now() + clock.ahead).toISOString() }

async function world(t: Test) {
  const [node, broker] = await Promise.all([startEventStore(t), startBroker(t)])
  const store = connectEventStore(node.connectionString)
  const bus = await connectBus({ url: broker.url, name: 'reactors', log })
  const outside = await connectBus({ url: broker.url, name: 'executors', log })
  const resources = resourcesIn(store)
  // Much longer than any spec waits: what ends at once does not end by silence.
  const parts = { store, bus, log, clock, ids: systemIds, after: undefined, leaseSeconds: 120 }
  const engine = new Engine({ ...parts, firstExecutors: [first], storeOutput: async () => [] })
  void engine.run()
  const anotherEngine = (recentExecutors: () => Promise<string[]>) => {
    const another = new Engine({ ...parts, recentExecutors, storeOutput: async () => [] })
    void another.run()
    return another
  }
  t.teardown(async () => {
    await engine.stop()
    await Promise.all([bus.close(), outside.close()])
    await store.close()
  })
  const until = async (stream: string, type: string) => {
    const categories = ['targetrun', 'executor'] as const
    for await (const batch of store.follow({ categories, after: undefined, signal: AbortSignal.timeout(10_000) }))
      for (const event of batch.events) if (event.stream === stream && event.type === type) return event
    throw new Error(`no ${type} in ${stream}: ${await resources.types(stream)}`)
  }
  const ask = (question: object, pool = 'default') =>
    requestJson(outside, subjects.pull(pool), pullReply, question, ANSWER)
  const enrol = (of: { executorId: string; token: string }, identity: Identity, change: object = {}) => {
    const facts = { ...of, publicKey: identity.publicKey, version: '0.1.0', protocol: 1 }
    const request = { ...facts, signature: identity.sign(enrolSignedText(facts)), ...change }
    return requestJson(outside, subjects.enrol, enrolReply, request, ANSWER)
  }
  const newExecutor = (name: string) => new ExecutorSide(outside, resources.enrol, name)
  return { ...resources, engine, anotherEngine, until, ask, enrol, newExecutor }
}

const { engine, until, ask, enrol, newExecutor, ...resources } = await world(t)
const { send, events, types } = resources
// Somebody answers from here on.
await newExecutor('herald').pull(1, 10)

async function running(executor: ExecutorSide) {
  const credentialId = await resources.credential()
  const targetIds = await resources.targets(1, credentialId)
  const runId = await resources.trigger(await resources.job(), targetIds, credentialId)
  const [assignment] = await executor.pull()
  if (assignment?.runId !== runId) throw new Error('other work was given out')
  await executor.startStep(assignment)
  return assignment
}

t.test('a question is answered with work only when the enrolled key signed it, now and for its pool', async t => {
  const executor = newExecutor('signed')
  t.same(await executor.pull(1, 10), [])
  const refused = async (what: string, question: object, code: string, pool = 'default') =>
    t.rejects(ask(question, pool), { name: 'BusRemoteError', code }, what)
  const question = executor.question(1, 10)
  await refused('another number of slots', { ...question, slots: 2 }, 'wrong-signature')
  await refused('another pool than was signed', question, 'wrong-signature', 'west')
  await refused(
    'in the name of another',
    { ...executor.question(1, 10), executorId: 'herald' },
    'executor-not-enrolled',
  )
  t.same(await ask(question), { assignments: [] }, 'as it was signed')
  await refused('the same again', question, 'stale-request')
  await refused('a pool it is not in', executor.question(1, 10, 'west'), 'wrong-pool', 'west')
  await refused('a stranger', { ...executor.question(1, 10), executorId: 'nobody' }, 'executor-not-enrolled')

  const identity = newIdentity()
  const asked = { ...executor.question(1, 10), publicKey: identity.publicKey }
  const signed = { ...asked, signature: identity.sign(pullSignedText({ ...asked, pool: 'default' })) }
  await refused('another key under its name', signed, 'executor-not-enrolled')

  for (const ahead of [61_000, -61_000]) {
    clock.ahead = ahead
    await refused('a clock that is off', executor.question(1, 10), 'clock-skew')
  }
  clock.ahead = 59_000
  t.same(await ask(executor.question(1, 10)), { assignments: [] }, 'a clock that is off a little')
  clock.ahead = 0
})

t.test('programs of several versions work side by side as long as they speak one protocol', async t => {
  const executor = newExecutor('versions')
  t.same(await executor.pull(1, 10), [])
  t.same(await ask({ ...executor.question(1, 10), version: '0.0.9', somethingNew: true }), { assignments: [] })
  const noted = await until(streams.executor('versions'), 'ExecutorVersionChanged')
  t.match(noted.data, { version: '0.0.9', protocol: 1 })
  await t.rejects(ask({ ...executor.question(1, 10), protocol: 7 }), {
    code: 'protocol-not-supported',
    message: /speaks protocol 7, the control plane 1/,
  })
})

t.test('a token lets in once, and only with the key it came with', async t => {
  const identity = newIdentity()
  const token = 'a token that was given out for late-1'
  const invite = { executorId: 'late-1', pool: 'east', tokenHash: sha256Hex(token), expiresSeconds: 60 }
  await send('executor', { type: 'invite-executor', data: invite })
  const late = { executorId: 'late-1', token }
  const code = async (of: typeof late, key = identity, change = {}) => {
    const reply = await enrol(of, key, change)
    return reply.status === 'refused' ? reply.code : reply.status
  }
  t.equal(await code({ ...late, token: 'a token that nobody has given out' }), 'enrolment-token-invalid')
  t.equal(await code(late, identity, { signature: 'bm90IGEgc2lnbmF0dXJl' }), 'wrong-signature')
  t.equal(await code(late, identity, { protocol: 7, version: '9' }), 'protocol-not-supported')
  t.equal(await code({ ...late, executorId: 'late-2' }), 'executor-not-found')
  t.same(await enrol(late, identity), { status: 'enrolled', pool: 'east', labels: {} })
  t.equal(await code(late), 'enrolled', 'an answer that was lost can be had again')
  t.equal(await code(late, newIdentity()), 'enrolment-token-invalid', 'used up')
  const history = await events(streams.executor('late-1'))
  t.same(
    history.map(({ type, data }) => ('why' in data ? data.why : type)),
    ['EnrolmentTokenIssued', 'token-invalid', 'signature-wrong', 'ExecutorEnrolled', 'token-invalid'],
  )
  t.notOk(JSON.stringify(history).includes(token))

  clock.ahead = 120_000
  const expiring = { ...invite, executorId: 'late-3', tokenHash: sha256Hex(`${token} 3`) }
  await send('executor', { type: 'invite-executor', data: expiring })
  t.equal(await code({ executorId: 'late-3', token: `${token} 3` }), 'enrolment-token-expired')
  clock.ahead = 0
})

t.test('the first executor comes in with the token it was set up with', async t => {
  t.match(await enrol({ executorId: 'first', token: firstToken }, newIdentity()), { status: 'enrolled' })
  t.same(await types(streams.executor('first')), ['EnrolmentTokenIssued', 'ExecutorEnrolled'])
})

t.test('a drained executor is sent away with nothing until it is resumed', async t => {
  const executor = newExecutor('drained')
  const waiting = executor.pull(1, 25_000)
  await until(streams.executor('drained'), 'ExecutorEnrolled')
  await send('executor', { type: 'drain-executor', data: { executorId: 'drained' } })
  const since = performance.now()
  t.same(await waiting, [], 'also when it had asked before')
  t.ok(performance.now() - since < 15_000, 'long before it would have given up')
  const credentialId = await resources.credential()
  const runId = await resources.trigger(await resources.job(), await resources.targets(1, credentialId), credentialId)
  t.same(await executor.pull(1, 50), [])
  await send('executor', { type: 'resume-executor', data: { executorId: 'drained' } })
  let [assignment] = await executor.pull(1, 5_000)
  for (let tries = 0; !assignment && tries < 5; tries++) [assignment] = await executor.pull(1, 5_000)
  t.equal(assignment?.runId, runId)
  if (assignment) await executor.work(assignment)
})

t.test('what a revoked executor holds is over at once, and what it says then counts for nothing', async t => {
  const executor = newExecutor('stolen')
  const assignment = await running(executor)
  const { runId, n } = assignment
  t.match(await executor.heartbeat([assignment]), { pool: 'default', cancel: [] })
  t.match(
    engine.takePresence().find(({ executorId }) => executorId === 'stolen'),
    { busy: 1, capacity: null },
  )

  await send('executor', { type: 'revoke-executor', data: { executorId: 'stolen', reason: 'the machine is gone' } })
  await until(streams.targetRun(runId, n), 'LeaseExpired')
  await until(streams.targetRun(runId, n), 'StepOutcomeUnknown')
  t.match(executor.controls, [{ kind: 'cancel', runId, n }], 'it is told to stop')

  t.match(await executor.succeedStep(assignment), { status: 'stale', code: 'executor-revoked' })
  await t.rejects(executor.heartbeat([assignment]), { code: 'executor-revoked' })
  await t.rejects(executor.output([executor.chunk(assignment, 1, 'x')]), { code: 'executor-revoked' })
  await t.rejects(executor.pull(1, 10), { code: 'executor-revoked' })
  t.notOk((await types(streams.targetRun(runId, n))).includes('StepSucceeded'))
  const refused = await until(streams.executor('stolen'), 'ExecutorReportRefused')
  t.match(refused.data, { runId, n, report: 'succeed-step' })
})

t.test('an executor that is moved is told where to ask', async t => {
  const executor = newExecutor('moved')
  t.same(await executor.pull(1, 10), [])
  await send('executor', { type: 'move-executor-to-pool', data: { executorId: 'moved', pool: 'west' } })
  const where = async () => (await executor.heartbeat([])).pool
  while ((await where()) !== 'west') await t.resolves(executor.heartbeat([]))
  await t.rejects(executor.pull(1, 10), { code: 'wrong-pool' })
  t.same(await ask(executor.question(1, 10, 'west'), 'west'), { assignments: [] })
})

t.test('work that wants labels goes to the executor that has them in the log, as soon as it has them', async t => {
  const [plain, labelled] = [newExecutor('plain'), newExecutor('labelled')]
  const credentialId = await resources.credential()
  const jobId = await resources.job({ executors: 'site=north' })
  const waiting = labelled.pull(1, 25_000)
  await until(streams.executor('labelled'), 'ExecutorEnrolled')
  const runId = await resources.trigger(jobId, await resources.targets(1, credentialId), credentialId)
  t.same(await plain.pull(1, 200), [])
  t.same(
    await ask({ ...plain.question(1, 200), labels: { site: 'north' } }),
    { assignments: [] },
    'saying so is nothing',
  )
  await send('executor', { type: 'set-executor-labels', data: { executorId: 'labelled', labels: { site: 'north' } } })
  t.same(await waiting, [], 'it is to ask anew')
  const [assignment] = await labelled.pull(1, 10_000)
  t.equal(assignment?.runId, runId)
  if (assignment) await labelled.work(assignment)
})

t.test('a heartbeat is told whether a question of its process waits, and when answers may have got lost', async t => {
  const executor = newExecutor('asking')
  const told = async () => (await executor.beat([])).headers
  await executor.pull(1, 10)
  const { 'opsc-session': session, ...rest } = await told()
  t.same(rest, { 'opsc-asking': 'no' })
  const waiting = executor.pull(1, 30_000)
  while ((await told())['opsc-asking'] !== 'yes');
  executor.restart()
  t.same(await told(), { 'opsc-session': session, 'opsc-asking': 'no' }, 'it was another process that asked')
  await executor.pull(1, 10)
  t.same(await waiting, [])
})

t.test('whoever was heard of lately is greeted by control planes that begin', async t => {
  const quiet = newExecutor('quiet')
  const second = resources.anotherEngine(async () => ['quiet'])
  t.teardown(() => second.stop())
  while (quiet.hellos === 0) await new Promise(resolve => setTimeout(resolve, 20))
  t.equal(quiet.hellos, 1)
})
