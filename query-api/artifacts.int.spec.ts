import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { freshDatabase } from '../test/support/postgres.ts'
import { serveQueries } from '../test/support/query-api.ts'

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const octets = 'application/octet-stream'

t.test('files over HTTP', async t => {
  const database = await freshDatabase(t)
  const timeouts = { headersMs: 1_000, requestMs: 1_000 }
  const { url, pool } = await serveQueries(t, database.url, { artifactQuotaBytes: 4_000_000, timeouts })
  const post = (body: Buffer, headers: Record<string, string> = {}) =>
    fetch(`${url}/v1/artifacts`, {
      ...{ method: 'POST', body: new Uint8Array(body) },
      headers: { authorization: 'Bearer writer', 'content-type': octets, ...headers },
    })
  const get = (sha256: string, key = 'reader') =>
    fetch(`${url}/v1/artifacts/${sha256}`, { headers: { authorization: `Bearer ${key}` } })
  const chunks = async () => (await pool.query('select count(*)::int as n from artifacts.artifact_chunk')).rows[0].n

  await t.test('what was sent comes back, as a file and never as a page', async t => {
    for (const length of [0, 5, 1_500_000]) {
      const whole = randomBytes(length)
      const stored = await post(whole)
      t.equal(stored.status, 201)
      t.same(await stored.json(), { sha256: digest(whole), bytes: length })
      const back = await get(digest(whole))
      t.ok(Buffer.from(await back.arrayBuffer()).equals(whole))
      const headers = Object.fromEntries(back.headers)
      t.match(headers, {
        'content-type': octets,
        'content-length': String(length),
        'content-disposition': `attachment; filename="${digest(whole)}"`,
        'x-content-type-options': 'nosniff',
      })
    }
    const before = await chunks()
    t.equal((await post(randomBytes(0))).status, 201)
    t.equal(await chunks(), before)
  })

  await t.test('who may, what may, how much may', async t => {
    const problem = async (response: Response, status: number, code: string) => {
      t.equal(response.status, status)
      t.match(await response.json(), { type: `urn:opsconductor:problem:${code}` })
    }
    await problem(await post(Buffer.from('x'), { authorization: 'Bearer reader' }), 403, 'forbidden')
    await problem(await get(digest(Buffer.alloc(0)), 'nobody'), 403, 'forbidden')
    await problem(await post(Buffer.from('{}'), { 'content-type': 'application/json' }), 415, 'unsupported-media-type')
    await problem(await get('0'.repeat(64)), 404, 'artifact-not-found')
    await problem(await get('nonsense'), 400, 'invalid-input')
    const before = await chunks()
    await problem(await post(randomBytes(3_500_000)), 507, 'artifact-store-full')
    t.equal(await chunks(), before, 'nothing of it is left')
  })

  await t.test('a file may take longer than other requests', async t => {
    const sent = httpRequest(`${url}/v1/artifacts`, {
      ...{ method: 'POST', headers: { authorization: 'Bearer writer', 'content-type': octets } },
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
      ...{ method: 'POST', headers: { authorization: 'Bearer writer', 'content-type': octets } },
    })
    sent.on('error', () => undefined)
    sent.write(randomBytes(600_000))
    while ((await chunks()) === before) await delay(10)
    sent.destroy()
    while ((await chunks()) !== before) await delay(10)
    t.equal(await chunks(), before)
  })
})
