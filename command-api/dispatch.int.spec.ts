import t, { type Test } from 'tap'
import { systemClock } from '../infra/clock.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { AppendOutcomeUnknown, type EventStore, EventStoreUnavailable } from '../infra/event-store/port.ts'
import { eventId, systemIds } from '../infra/ids.ts'
import type { Meta } from '../schemas/kernel.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { createStateCache } from './dispatch/state-cache.ts'
import { createDispatcher, type Dispatcher } from './dispatch.ts'

const node = await startEventStore(t)
const store = connectEventStore(node.connectionString)
t.teardown(() => store.close())

const metaOf = (commandId: string): Meta => ({
  commandId,
  $correlationId: commandId,
  $causationId: commandId,
  actor: { kind: 'api-key', id: 'ann' },
  origin: { channel: 'api' },
  at: systemClock.now(),
})
const createOf = (targetId: string) =>
  ({
    type: 'create-target',
    data: {
      targetId,
      name: 'web-1',
      address: '192.0.2.1',
      port: 22,
      platform: 'linux',
      tags: {},
      hostKeyPolicy: 'first-use',
    },
  }) as const
const renameOf = (targetId: string, name: string) => ({ type: 'rename-target', data: { targetId, name } }) as const
const cached = () => createDispatcher({ store, cache: createStateCache() })

async function created(dispatcher: Dispatcher): Promise<string> {
  const targetId = systemIds.next()
  await dispatcher.dispatch('target', createOf(targetId), { meta: metaOf(systemIds.next()), facts: {} })
  return targetId
}
const rename = (
  dispatcher: Dispatcher,
  targetId: string,
  name: string,
  commandId = systemIds.next(),
  expected?: bigint,
) => dispatcher.dispatch('target', renameOf(targetId, name), { meta: metaOf(commandId), facts: {}, expected })
const typesOf = async (targetId: string) => (await store.read(`target-${targetId}`)).events.map(e => e.type)

for (const [kind, make] of [
  ['with', cached],
  ['without', () => createDispatcher({ store })],
] as const) {
  t.test(`${kind} remembered states`, async t => {
    t.test('an answer says where the events are', async t => {
      const dispatcher = make()
      const targetId = systemIds.next()
      const commandId = systemIds.next()
      const answer = await dispatcher.dispatch('target', createOf(targetId), { meta: metaOf(commandId), facts: {} })
      const { events } = await store.read(`target-${targetId}`)
      t.same(answer, {
        commandId,
        stream: `target-${targetId}`,
        revision: '0',
        position: String(events[0]?.position.commit),
        events: [{ id: eventId(commandId, 0), type: 'TargetRegistered', revision: '0' }],
      })
    })
    t.test('a repeated command id is answered from its events, whatever came after', async t => {
      const dispatcher = make()
      const targetId = await created(dispatcher)
      const commandId = systemIds.next()
      const first = await rename(dispatcher, targetId, 'a', commandId)
      await rename(dispatcher, targetId, 'b')
      t.same(await rename(dispatcher, targetId, 'a', commandId), first)
      t.same(await rename(createDispatcher({ store }), targetId, 'a', commandId), first, 'after a restart')
      t.same(await typesOf(targetId), ['TargetRegistered', 'TargetRenamed', 'TargetRenamed'])
    })
    t.test('nothing to do is an answer without events', async t => {
      const dispatcher = make()
      const targetId = await created(dispatcher)
      const answer = await rename(dispatcher, targetId, 'web-1')
      t.match(answer, { revision: '0', events: [] })
      t.ok(BigInt(answer.position) >= 0n)
    })
    t.test('a rejection is decided on what the log says, not on what is remembered', async t => {
      const dispatcher = make()
      const elsewhere = createDispatcher({ store })
      const targetId = await created(dispatcher)
      const act = (by: Dispatcher, type: 'decommission-target' | 'reinstate-target') =>
        by.dispatch('target', { type, data: { targetId, reason: 'x' } }, { meta: metaOf(systemIds.next()), facts: {} })
      await act(dispatcher, 'decommission-target')
      await act(elsewhere, 'reinstate-target')
      t.match(await rename(dispatcher, targetId, 'b'), { revision: '3' })
      await act(elsewhere, 'decommission-target')
      await t.rejects(rename(dispatcher, targetId, 'c'), { code: 'target-decommissioned' })
      await act(elsewhere, 'reinstate-target')
      t.match(await act(dispatcher, 'decommission-target'), { revision: '6' }, 'remembered as decommissioned already')
    })
    t.test('the loser of a race decides again', async t => {
      const dispatcher = make()
      const targetId = await created(dispatcher)
      const rivals = [dispatcher, make(), make()]
      await Promise.all(rivals.map((rival, i) => rename(rival, targetId, `name-${i}`)))
      t.equal((await typesOf(targetId)).length, 4)
    })
    t.test('If-Match binds, also when a race is lost', async t => {
      const dispatcher = make()
      const targetId = await created(dispatcher)
      const commandId = systemIds.next()
      const answer = await rename(dispatcher, targetId, 'a', commandId, 0n)
      t.equal(answer.revision, '1')
      t.same(await rename(dispatcher, targetId, 'a', commandId, 0n), answer, 'its own repeat is not somebody else')
      await t.rejects(rename(dispatcher, targetId, 'b', systemIds.next(), 0n), { code: 'precondition-failed' })
      await rename(createDispatcher({ store }), targetId, 'c')
      await t.rejects(rename(dispatcher, targetId, 'd', systemIds.next(), 1n), { code: 'precondition-failed' })
      t.equal(
        (await rename(dispatcher, targetId, 'd', systemIds.next(), 2n)).revision,
        '3',
        'known only from elsewhere',
      )
    })
  })
}

/** The real store behind a network that loses answers or requests, each as many times as told. */
function lossy(losses: { answers?: number; requests?: number; race?: () => Promise<unknown> }): EventStore {
  return {
    ...store,
    append: async (stream, events, expected) => {
      if (losses.requests) {
        losses.requests -= 1
        throw new AppendOutcomeUnknown('cut before it arrived')
      }
      await losses.race?.()
      const appended = await store.append(stream, events, expected)
      if (!losses.answers) return appended
      losses.answers -= 1
      throw new AppendOutcomeUnknown('cut after it arrived')
    },
  }
}

t.test('an append whose answer was lost happens once', async t => {
  for (const losses of [{ answers: 2 }, { requests: 2 }, { requests: 1, answers: 1 }]) {
    const targetId = await created(createDispatcher({ store }))
    const answer = await rename(createDispatcher({ store: lossy({ ...losses }) }), targetId, 'a')
    t.match(answer, { revision: '1', events: [{ type: 'TargetRenamed' }] })
    t.same(await typesOf(targetId), ['TargetRegistered', 'TargetRenamed'])
  }
})

t.test('an append whose answer was lost is found behind what came after it', async t => {
  const targetId = await created(createDispatcher({ store }))
  let first = true
  const store2: EventStore = {
    ...store,
    append: async (stream, events, expected) => {
      if (!first) return store.append(stream, events, expected)
      first = false
      await store.append(stream, events, expected)
      await rename(createDispatcher({ store }), targetId, 'later')
      throw new AppendOutcomeUnknown('cut')
    },
  }
  t.equal((await rename(createDispatcher({ store: store2 }), targetId, 'a')).revision, '1')
  t.equal((await typesOf(targetId)).length, 3)
})

t.test('a race that never ends is a conflict', async t => {
  const targetId = await created(createDispatcher({ store }))
  let turn = 0
  const race = () => rename(createDispatcher({ store }), targetId, `rival-${turn++}`)
  await t.rejects(rename(createDispatcher({ store: lossy({ race }) }), targetId, 'a'), { code: 'conflict' })
  t.equal(turn, 3)
})

t.test('many commands on one stream wait for each other', async t => {
  const dispatcher = cached()
  const targetId = await created(dispatcher)
  await Promise.all(Array.from({ length: 40 }, (_, i) => rename(dispatcher, targetId, `n${i}`)))
  t.equal((await typesOf(targetId)).length, 41)
})

t.test('what must not enter the log does not', async t => {
  const jobId = systemIds.next()
  const command = `echo "-----BEGIN OPENSSH ${'PRIVATE'} KEY-----"`
  const steps = [
    {
      id: 'a',
      uses: 'ssh.command' as const,
      with: { command },
      timeoutSeconds: 1,
      continueOnError: false,
      idempotent: false,
    },
  ]
  const define = { type: 'define-job', data: { jobId, name: 'leak', steps } } as const
  await t.rejects(
    createDispatcher({ store }).dispatch('job', define, {
      meta: metaOf(systemIds.next()),
      facts: { digest: 'a'.repeat(64) },
    }),
    { code: 'secret-in-payload' },
  )
  const huge = Array.from({ length: 100 }, (_, i) => ({
    ...steps[0],
    id: `s${i}`,
    uses: 'ssh.command' as const,
    with: { command: 'x'.repeat(32_000) },
    timeoutSeconds: 1,
    continueOnError: false,
    idempotent: false,
  }))
  await t.rejects(
    createDispatcher({ store }).dispatch(
      'job',
      { type: 'define-job', data: { jobId, name: 'huge', steps: huge } },
      { meta: metaOf(systemIds.next()), facts: { digest: 'a'.repeat(64) } },
    ),
    { code: 'body-too-large' },
  )
})

t.test('a silent event store is waited for, but not for ever', async (t: Test) => {
  const targetId = await created(createDispatcher({ store }))
  await node.kill9()
  await t.rejects(rename(createDispatcher({ store }), targetId, 'a'), EventStoreUnavailable)
  const during = rename(createDispatcher({ store }), targetId, 'b').catch(() => undefined)
  await node.restart()
  // Either its patience outlasted the restart, or it gave up and is sent again.
  t.match((await during) ?? (await rename(createDispatcher({ store }), targetId, 'b')), { revision: '1' })
})
