import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import t from 'tap'
import { createArtifactStore } from '../infra/artifacts.ts'
import { systemClock } from '../infra/clock.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { AppendOutcomeUnknown } from '../infra/event-store/port.ts'
import { createHttpServer, type Holder } from '../infra/http/index.ts'
import { sha256Hex, systemIds } from '../infra/ids.ts'
import { createPool, migrate } from '../infra/postgres.ts'
import { streams } from '../schemas/events.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { madeHolder } from '../test/support/holder.ts'
import { freshDatabase } from '../test/support/postgres.ts'
import { registerArtifactUpload } from './artifacts.ts'
import { createDispatcher } from './dispatch.ts'

const log = pino({ level: 'silent' })
const octets = 'application/octet-stream'

t.test('files over HTTP', async t => {
  const [node, database] = await Promise.all([startEventStore(t), freshDatabase(t)])
  const pool = createPool(database.url, log, { max: 4 })
  await migrate(pool, log)
  const store = connectEventStore(node.connectionString)
  const parts = { artifacts: createArtifactStore(pool, systemClock, 4_000_000), clock: systemClock, ids: systemIds }
  const ann = madeHolder('ann')
  const eve = madeHolder('eve', () => false)
  const keys = new Map<string, Holder>(Object.entries({ ann, eve }))
  const serve = async (dispatcher = createDispatcher({ store })) => {
    const timeouts = { headersMs: 1_000, requestMs: 1_000 }
    const http = await createHttpServer({ log, timeouts, ready: () => [], authenticate: key => keys.get(key) })
    registerArtifactUpload(http, { ...parts, dispatcher })
    t.teardown(() => http.close())
    return await http.listen({ host: '127.0.0.1', port: 0 })
  }
  t.teardown(() => Promise.all([store.close(), pool.end()]))
  const url = await serve()
  const post = (body: Buffer, headers: Record<string, string> = {}, to = url) =>
    fetch(`${to}/v1/artifacts`, {
      ...{ method: 'POST', body: new Uint8Array(body) },
      headers: { authorization: 'Bearer ann', 'content-type': octets, ...headers },
    })
  const events = async (sha256: string) => (await store.read(streams.artifact(sha256))).events
  const chunks = async () => (await pool.query('select count(*)::int as n from artifacts.artifact_chunk')).rows[0].n

  await t.test('what was sent is kept, and the log tells who sent it', async t => {
    for (const length of [0, 5, 1_500_000]) {
      const whole = randomBytes(length)
      const of = { sha256: sha256Hex(whole), bytes: length }
      const headers = { 'x-ticket': 'OPS-7', 'x-justification': 'release' }
      const stored = await post(whole, headers)
      t.match([stored.status, await stored.json()], [201, of])
      t.equal(await parts.artifacts.bytesOf(of.sha256), length)
      const before = await chunks()
      t.equal((await post(whole, headers)).status, 201)
      t.equal(await chunks(), before, 'the same file twice is one')
      const [event, ...more] = await events(of.sha256)
      t.match(event, {
        ...{ type: 'ArtifactStored', data: of },
        metadata: {
          ...{ actor: { kind: 'api-key', id: 'ann' }, origin: { channel: 'api', ip: '127.0.0.1' } },
          ...{ command: 'store-artifact', ticket: 'OPS-7', justification: 'release' },
        },
      })
      t.equal(more.length, 0)
    }
  })

  await t.test('a file that nobody can write down is not kept', async t => {
    const append = () => Promise.reject(new AppendOutcomeUnknown('the connection broke'))
    const elsewhere = await serve(createDispatcher({ store: { ...store, append } }))
    const whole = randomBytes(20)
    const answer = await post(whole, {}, elsewhere)
    t.match([answer.status, await answer.json()], [503, { type: /event-store-unavailable/, detail: /not stored/ }])
    t.equal(await parts.artifacts.bytesOf(sha256Hex(whole)), undefined)
    t.equal((await post(whole)).status, 201, 'it can be sent again')
    t.equal((await events(sha256Hex(whole))).length, 1)
  })

  await t.test('who may, what may, how much may', async t => {
    const problem = async (response: Response, status: number, code: string) => {
      t.equal(response.status, status)
      t.match(await response.json(), { type: `urn:opsconductor:problem:${code}` })
    }
    await problem(await post(Buffer.from('x'), { authorization: 'Bearer eve' }), 403, 'forbidden')
    await problem(await post(Buffer.from('{}'), { 'content-type': 'application/json' }), 415, 'unsupported-media-type')
    const before = await chunks()
    const large = randomBytes(3_500_000)
    await problem(await post(large), 507, 'artifact-store-full')
    t.equal(await chunks(), before, 'nothing of it is left')
    t.equal((await events(sha256Hex(large))).length, 0)
  })

  await t.test('a file may take longer than other requests', async t => {
    const sent = httpRequest(`${url}/v1/artifacts`, {
      ...{ method: 'POST', headers: { authorization: 'Bearer ann', 'content-type': octets } },
    })
    for (let i = 0; i < 6; i += 1) {
      sent.write(`${i}`)
      // Longer in all than any request may take here.
      await delay(400)
    }
    sent.end()
    const [response]: IncomingMessage[] = await once(sent, 'response')
    t.equal(response?.statusCode, 201)
    response?.resume()
  })

  await t.test('one that is given up leaves nothing', async t => {
    const before = await chunks()
    const sent = httpRequest(`${url}/v1/artifacts`, {
      ...{ method: 'POST', headers: { authorization: 'Bearer ann', 'content-type': octets } },
    })
    sent.on('error', () => undefined)
    sent.write(randomBytes(600_000))
    while ((await chunks()) === before) await delay(10)
    sent.destroy()
    while ((await chunks()) !== before) await delay(10)
    t.equal(await chunks(), before)
  })
})
