import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import type { LogPosition, Recorded } from '../../schemas/events.ts'
import { startEventStore } from '../../test/support/event-store.ts'
import { sampleCommandId as commandId, sampleEvent as disabled } from '../../test/support/sample-events.ts'
import { eventId } from '../ids.ts'
import { connectEventStore } from './client.ts'
import type { EventStore } from './port.ts'

const jobId = commandId(1)

async function open(t: Test): Promise<{ store: EventStore; node: Awaited<ReturnType<typeof startEventStore>> }> {
  const node = await startEventStore(t)
  const store = connectEventStore(node.connectionString, { appendDeadlineMs: 3_000 })
  t.teardown(() => store.close())
  return { store, node }
}

/** Pulls until the predicate holds, then stops following. */
async function followUntil(
  store: EventStore,
  after: LogPosition | undefined,
  enough: (events: Recorded[]) => boolean,
  each?: (events: Recorded[]) => Promise<void>,
) {
  const events: Recorded[] = []
  const controller = new AbortController()
  let position = after
  for await (const batch of store.follow({ categories: ['job'], after, signal: controller.signal, maxBatch: 7 })) {
    events.push(...batch.events)
    position = batch.position ?? position
    await each?.(batch.events)
    if (enough(events)) controller.abort()
  }
  return { events, position }
}

t.test('what is appended is read back, with ids, revisions, position and version', async t => {
  const { store } = await open(t)
  t.same(await store.read('job-absent'), { events: [], revision: 'none' })
  t.equal(await store.head(), undefined)
  const first = await store.append(`job-${jobId}`, [disabled(1), disabled(2)], 'none')
  t.equal(first.revision, 1n)
  const { events, revision } = await store.read(`job-${jobId}`)
  t.equal(revision, 1n)
  t.match(events, [
    {
      type: 'JobDisabled',
      revision: 0n,
      stream: `job-${jobId}`,
      id: eventId(commandId(1), 0),
      metadata: { schemaVersion: 1, commandId: commandId(1) },
    },
    { type: 'JobDisabled', revision: 1n, data: { reason: 'reason 2' } },
  ])
  t.same(await store.head(), first.position)
  t.equal((await store.read(`job-${jobId}`, 1n)).events.length, 1)
})

t.test('only the expected revision is accepted, and a repeat leaves no second copy', async t => {
  const { store } = await open(t)
  const stream = `job-${jobId}`
  const first = await store.append(stream, [disabled(1)], 'none')
  t.same(await store.append(stream, [disabled(1)], 'none'), first, 'the same append again')
  await t.rejects(store.append(stream, [disabled(2)], 'none'), { name: 'WrongRevision' })
  await t.rejects(store.append(stream, [disabled(2)], 5n), { name: 'WrongRevision' })
  t.equal((await store.read(stream)).events.length, 1)
})

t.test('secrets and oversized appends are refused before they are written', async t => {
  const { store } = await open(t)
  const key = `-----BEGIN OPENSSH ${'PRIVATE'} KEY-----`
  await t.rejects(store.append('job-a', [disabled(1, key)], 'none'), { name: 'SecretInEvent' })
  await t.rejects(store.append('job-a', [disabled(1, 'x'.repeat(1 << 20))], 'none'), { name: 'AppendTooLarge' })
  t.same(await store.read('job-a'), { events: [], revision: 'none' })
})

t.test('an event store that does not answer is told apart from one that refuses', async t => {
  const silent = createServer(() => {})
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
  const sockets = new Set<{ destroy(): void }>()
  silent.on('connection', socket => sockets.add(socket))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const url = `esdb://127.0.0.1:${(silent.address() as AddressInfo).port}?tls=false`
  const store = connectEventStore(url, { appendDeadlineMs: 300 })
  await t.rejects(store.append('job-a', [disabled(1)], 'none'), { name: 'AppendOutcomeUnknown' })
  const { store: gone, node } = await open(t)
  await node.kill9()
  await t.rejects(gone.read('job-a'), { name: 'EventStoreUnavailable' })
  await t.rejects(gone.head(), { name: 'EventStoreUnavailable' })
})

t.test('a follower sees every event once and in order, over a kill of the event store', async t => {
  const { store, node } = await open(t)
  const total = 60
  for (let n = 1; n <= 30; n++) await store.append(`job-${commandId(n)}`, [disabled(n)], 'none')
  let killed = false
  const { events } = await followUntil(
    store,
    undefined,
    seen => seen.length >= total,
    async () => {
      if (killed) return
      killed = true
      await node.kill9()
      await node.restart()
      for (let n = 31; n <= total; n++) await store.append(`job-${commandId(n)}`, [disabled(n)], 'none')
    },
  )
  t.same(
    events.map(e => e.metadata.commandId),
    Array.from({ length: total }, (_, i) => commandId(i + 1)),
  )
})

t.test('a follower goes on after the position it was given, over events of other categories', async t => {
  const { store } = await open(t)
  for (let n = 1; n <= 3; n++) await store.append(`job-${commandId(n)}`, [disabled(n)], 'none')
  const { position } = await followUntil(store, undefined, seen => seen.length >= 3)
  for (let n = 4; n <= 200; n++) await store.append(`run-${commandId(n)}`, [disabled(n)], 'none')
  const last = await store.append(`job-${commandId(300)}`, [disabled(300)], 'none')
  const rest = await followUntil(store, position, seen => seen.length >= 1)
  t.same(
    rest.events.map(e => e.metadata.commandId),
    [commandId(300)],
  )
  t.same(rest.position, last.position)
})

t.test('a follower that has nothing to read says it has caught up, and ends when told', async t => {
  const { store } = await open(t)
  await store.append('job-a', [disabled(1)], 'none')
  const controller = new AbortController()
  let caughtUp = false
  for await (const batch of store.follow({ categories: ['target'], after: undefined, signal: controller.signal })) {
    caughtUp ||= batch.caughtUp
    t.same(batch.events, [])
    if (caughtUp) controller.abort()
  }
  t.ok(caughtUp)
})
