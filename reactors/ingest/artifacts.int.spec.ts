import { randomBytes } from 'node:crypto'
import pino from 'pino'
import t from 'tap'
import { Artifacts } from '../../executors/artifacts.ts'
import { createArtifactStore } from '../../infra/artifacts.ts'
import { connectBus, requestJson } from '../../infra/bus.ts'
import { systemClock } from '../../infra/clock.ts'
import { brokerUsersFor } from '../../infra/embedded/supervisor/broker-users.ts'
import { connectEventStore } from '../../infra/event-store/client.ts'
import { systemIds } from '../../infra/ids.ts'
import { createPool, migrate } from '../../infra/postgres.ts'
import { artifactGetReply, artifactPutReply, subjects } from '../../schemas/bus.ts'
import { streams } from '../../schemas/events.ts'
import { startBroker } from '../../test/support/broker.ts'
import { startEventStore } from '../../test/support/event-store.ts'
import { freshDatabase } from '../../test/support/postgres.ts'
import { artifactLedger, keepPurged, serveArtifacts } from './artifacts.ts'

const log = pino({ level: 'silent' })

t.test('executors store and fetch files over the bus', async t => {
  const { url } = await freshDatabase(t)
  const pool = createPool(url, log)
  t.teardown(() => pool.end())
  await migrate(pool, log)
  const password = (user: string) => `password of ${user}`
  const users = brokerUsersFor({ executorId: 'east-1' }, password)
  const broker = await startBroker(t, { users })
  const connect = async (user: string) => {
    const bus = await connectBus({ url: broker.urlFor(user), name: user, log })
    t.teardown(() => bus.close())
    return bus
  }
  const [workers, executor] = [await connect('workers'), await connect('executor')]
  const store = createArtifactStore(pool, systemClock, 8_000_000)
  const events = connectEventStore((await startEventStore(t)).connectionString)
  t.teardown(() => events.close())
  const ledger = artifactLedger({ store: events, clock: systemClock, ids: systemIds })
  serveArtifacts(workers, store, ledger)
  await workers.flush()
  const artifacts = new Artifacts({ bus: executor, executorId: 'east-1', ids: systemIds })
  const signal = AbortSignal.timeout(60_000)

  await t.test('there and back', async t => {
    for (const length of [0, 1, 512 * 1024, 2_000_000]) {
      const whole = randomBytes(length)
      const writer = artifacts.writer()
      for (let at = 0; at < length; at += 33_000) await writer.write(whole.subarray(at, at + 33_000), signal)
      const sha256 = writer.digest()
      await writer.finish(sha256, signal)
      const source = await artifacts.open(sha256, signal)
      t.equal(source.bytes, length)
      const parts: Buffer[] = []
      for (let at = 0; at < length; at += parts.at(-1)?.length ?? 0) parts.push(await source.read(at, signal))
      t.ok(Buffer.concat(parts).equals(whole))
      const [stored, ...more] = (await events.read(streams.artifact(sha256))).events
      t.match(stored, {
        ...{ type: 'ArtifactStored', data: { sha256, bytes: length } },
        metadata: { actor: { kind: 'executor', id: 'east-1' }, origin: { channel: 'executor' } },
      })
      t.equal(more.length, 0)
    }
  })

  await t.test('what is removed is told, and by what rule', async t => {
    const writer = artifacts.writer()
    await writer.write(Buffer.from('old'), signal)
    const sha256 = writer.digest()
    await writer.finish(sha256, signal)
    await pool.query("update artifacts.artifact set last_used = '2020-01-01' where sha256 = $1", [sha256])
    const timer = keepPurged({ store, ledger, log }, 30, 5)
    const types = async () => (await events.read(streams.artifact(sha256))).events.map(({ type }) => type)
    while ((await types()).length < 2) await new Promise(resolve => setImmediate(resolve))
    clearInterval(timer)
    const { data, metadata } = (await events.read(streams.artifact(sha256))).events.at(-1) ?? {}
    t.same(data, { sha256, bytes: 3, unusedDays: 30 })
    t.match(metadata, { actor: { kind: 'system', id: 'retention' } })
    t.equal(await store.bytesOf(sha256), undefined)
  })

  await t.test('what cannot be is told', async t => {
    await t.rejects(artifacts.open('0'.repeat(64), signal), { name: 'ArtifactFailure', message: /no such artifact/ })
    const large = artifacts.writer()
    const flood = async () => {
      for (let i = 0; i < 20; i += 1) await large.write(randomBytes(512 * 1024), signal)
    }
    await t.rejects(flood(), { name: 'ArtifactFailure', message: /full/ })
    await t.rejects(artifacts.writer().finish('0'.repeat(64), signal), { message: /not what its SHA-256 says/ })
  })

  await t.test('nobody speaks for another executor', async t => {
    const get = { executorId: 'west-1', sha256: '0'.repeat(64), index: 0 }
    const options = { timeoutMs: 2_000 }
    const other = subjects.artifactGet('west-1')
    await t.rejects(requestJson(executor, other, artifactGetReply, get, options), { name: 'BusDenied' })
    const chunk = { kind: 'chunk', executorId: 'west-1', uploadId: systemIds.next(), index: 0, data: 'eA==' }
    const put = await requestJson(executor, subjects.artifactPut('east-1'), artifactPutReply, chunk, options)
    t.match(put, { error: 'forbidden' })
    const got = await requestJson(executor, subjects.artifactGet('east-1'), artifactGetReply, get, options)
    t.match(got, { error: 'not-found' })
  })

  await t.test('a store that is away is waited for', async t => {
    const given = new AbortController()
    await pool.query('alter schema artifacts rename to away')
    const waiting = artifacts.open('0'.repeat(64), given.signal)
    await pool.query('alter schema away rename to artifacts')
    await t.rejects(waiting, { message: /no such artifact/ })
    await pool.query('alter schema artifacts rename to away')
    const never = artifacts.open('0'.repeat(64), given.signal)
    given.abort()
    await t.rejects(never, { name: 'ArtifactFailure', message: /does not answer/ })
    await pool.query('alter schema away rename to artifacts')
  })

  await t.test('it is looked through from time to time', async t => {
    const told: unknown[] = []
    const purge = async (days: number) => told.push(days)
    const timer = keepPurged({ store: { purge }, ledger, log }, 30, 5)
    while (told.length < 2) await new Promise(resolve => setImmediate(resolve))
    clearInterval(timer)
    t.same(told.slice(0, 2), [30, 30])
  })
})
