import { createHash, randomBytes } from 'node:crypto'
import pino from 'pino'
import t from 'tap'
import { ARTIFACT_CHUNK_BYTES, ARTIFACT_MAX_BYTES } from '../schemas/bus.ts'
import { freshDatabase } from '../test/support/postgres.ts'
import { type ArtifactStore, createArtifactStore } from './artifacts.ts'
import { systemIds } from './ids.ts'
import { createPool, migrate } from './postgres.ts'

const log = pino({ level: 'silent' })
const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const upload = (owner = 'east-1') => ({ uploadId: systemIds.next(), owner })
const MB = 1024 * 1024
const unrecorded = async () => undefined

async function put(store: ArtifactStore, bytes: Buffer, as = upload()) {
  for (let index = 0; index * ARTIFACT_CHUNK_BYTES < bytes.length; index += 1) {
    await store.addChunk(as, index, bytes.subarray(index * ARTIFACT_CHUNK_BYTES, (index + 1) * ARTIFACT_CHUNK_BYTES))
  }
  const sha256 = digest(bytes)
  await store.finish(as, { sha256, bytes: bytes.length }, unrecorded)
  return sha256
}

async function take(store: ArtifactStore, sha256: string): Promise<Buffer> {
  const bytes = (await store.bytesOf(sha256)) ?? 0
  const parts: Buffer[] = []
  for (let index = 0; index * ARTIFACT_CHUNK_BYTES < bytes; index += 1) {
    parts.push((await store.chunk(sha256, index))?.data ?? Buffer.alloc(0))
  }
  return Buffer.concat(parts)
}

t.test('files under their SHA-256', async t => {
  const { url } = await freshDatabase(t)
  const pool = createPool(url, log)
  t.teardown(() => pool.end())
  await migrate(pool, log)
  let now = Date.parse('2026-03-01T12:00:00.000Z')
  const clock = { now: () => new Date(now).toISOString(), monotonic: () => now }
  const store = createArtifactStore(pool, clock, 4 * MB)
  const rows = async () => (await pool.query('select count(*)::int as n from artifacts.artifact_chunk')).rows[0].n
  const days = (n: number) => {
    now += n * 86_400_000
  }

  await t.test('are kept whole, once each', async t => {
    const whole = randomBytes(ARTIFACT_CHUNK_BYTES * 2 + 1)
    const sha256 = await put(store, whole)
    t.ok((await take(store, sha256)).equals(whole))
    t.equal(await rows(), 3)
    t.equal(await put(store, whole, upload('west-1')), sha256)
    t.equal(await rows(), 3, 'the second copy is let go')
    const empty = await put(store, Buffer.alloc(0))
    t.equal(await store.bytesOf(empty), 0)
    t.equal(await store.bytesOf(digest(Buffer.from('no such'))), undefined)
    t.equal(await store.chunk(sha256, 3), undefined)
    await store.purge(-1, unrecorded)
    t.equal(await rows(), 0)
  })

  await t.test('what is sent twice is stored once', async t => {
    const whole = randomBytes(ARTIFACT_CHUNK_BYTES + 5)
    const as = upload()
    await store.addChunk(as, 1, whole.subarray(ARTIFACT_CHUNK_BYTES))
    await Promise.all([0, 0, 0].map(index => store.addChunk(as, index, whole.subarray(0, ARTIFACT_CHUNK_BYTES))))
    const of = { sha256: digest(whole), bytes: whole.length }
    await Promise.all([store.finish(as, of, unrecorded), store.finish(as, of, unrecorded)])
    await store.finish(as, of, unrecorded)
    t.ok((await take(store, of.sha256)).equals(whole))
    await store.purge(-1, unrecorded)
  })

  await t.test('what is not what it says is not kept', async t => {
    const whole = randomBytes(ARTIFACT_CHUNK_BYTES + 5)
    const part = (index: number) => whole.subarray(index * ARTIFACT_CHUNK_BYTES, (index + 1) * ARTIFACT_CHUNK_BYTES)
    const of = { sha256: digest(whole), bytes: whole.length }
    const hole = upload()
    await store.addChunk(hole, 1, part(1))
    await t.rejects(store.finish(hole, of, unrecorded), { code: 'incomplete' })
    await store.addChunk(hole, 0, part(0).subarray(1))
    await t.rejects(store.finish(hole, of, unrecorded), { code: 'incomplete' })
    await t.rejects(store.finish(upload(), of, unrecorded), { code: 'incomplete' })
    const short = upload()
    await store.addChunk(short, 0, part(0))
    await t.rejects(store.finish(short, of, unrecorded), { code: 'incomplete' })
    await store.addChunk(short, 1, Buffer.alloc(5))
    await t.rejects(store.finish(short, of, unrecorded), { code: 'mismatch' })
    await t.rejects(store.finish(short, of, unrecorded), { code: 'incomplete' }, 'and is gone')
    const foreign = { ...hole, owner: 'west-1' }
    await t.rejects(store.addChunk(foreign, 2, part(0)), { code: 'forbidden' })
    await t.rejects(store.finish(foreign, of, unrecorded), { code: 'forbidden' })
    await store.abandon(foreign)
    t.equal(await rows(), 2, 'only its owner gives an upload up')
    await store.abandon(hole)
    t.equal(await rows(), 0)
  })

  await t.test('no more than there is room for', async t => {
    const as = upload()
    const last = ARTIFACT_MAX_BYTES / ARTIFACT_CHUNK_BYTES
    await t.rejects(store.addChunk(as, last, Buffer.from('x')), { code: 'too-large' })
    await t.rejects(store.addChunk(as, 0, Buffer.alloc(ARTIFACT_CHUNK_BYTES + 1)), { code: 'too-large' })
    await put(store, randomBytes(2 * MB))
    const racing = Array.from({ length: 8 }, () => upload())
    const add = (to: ReturnType<typeof upload>) => store.addChunk(to, 0, randomBytes(ARTIFACT_CHUNK_BYTES))
    const ended = await Promise.allSettled(racing.map(add))
    t.equal(ended.filter(each => each.status === 'fulfilled').length, 4, 'uploads count from their first chunk on')
    t.match(
      ended.filter(each => each.status === 'rejected').map(each => each.reason.code),
      ['quota', 'quota', 'quota', 'quota'],
    )
    await Promise.all(racing.map(store.abandon))
    await store.purge(-1, unrecorded)
  })

  await t.test('nothing becomes known, and nothing goes, that cannot be written down', async t => {
    const away = () => Promise.reject(new Error('the log is away'))
    const whole = Buffer.from('kept')
    const of = { sha256: digest(whole), bytes: whole.length }
    const as = upload()
    await store.addChunk(as, 0, whole)
    await t.rejects(store.finish(as, of, away), /the log is away/)
    t.equal(await store.bytesOf(of.sha256), undefined)
    const told: unknown[] = []
    const record = async (what: object) => void told.push(what)
    await store.finish(as, of, record)
    await store.finish(as, of, away)
    await put(store, whole)
    t.same(told, [of], 'a repeat after that asks for nothing')
    days(1)
    await t.rejects(store.purge(0.5, away), /the log is away/)
    t.ok((await take(store, of.sha256)).equals(whole))
    t.equal(await store.purge(-1, record), 1)
    t.same(told, [of, of])
    t.equal(await rows(), 0)
  })

  await t.test('only what was not used for long is removed', async t => {
    const [used, unused] = [await put(store, randomBytes(10)), await put(store, randomBytes(11))]
    days(60)
    await store.bytesOf(used)
    const begun = upload()
    await store.addChunk(begun, 0, Buffer.from('x'))
    days(0.9)
    const fresh = await put(store, randomBytes(12))
    t.equal(await store.purge(60, unrecorded), 1)
    t.equal(await store.bytesOf(unused), undefined)
    days(0.2)
    t.equal(await store.purge(60, unrecorded), 1, 'an upload that stopped a day ago')
    t.equal(await rows(), 2)
    t.equal(await store.bytesOf(used), 10)
    t.equal(await store.bytesOf(fresh), 12)
  })
})
