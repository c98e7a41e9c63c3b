import { randomBytes } from 'node:crypto'
import t from 'tap'
import { createArtifactStore } from '../infra/artifacts.ts'
import { systemClock } from '../infra/clock.ts'
import { sha256Hex, systemIds } from '../infra/ids.ts'
import { ARTIFACT_CHUNK_BYTES } from '../schemas/bus.ts'
import { freshDatabase } from '../test/support/postgres.ts'
import { serveQueries } from '../test/support/query-api.ts'

t.test('stored files over HTTP', async t => {
  const { url, pool } = await serveQueries(t, (await freshDatabase(t)).url)
  const store = createArtifactStore(pool, systemClock, 1e9)
  const get = (sha256: string, key = 'reader') =>
    fetch(`${url}/v1/artifacts/${sha256}`, { headers: { authorization: `Bearer ${key}` } })
  const put = async (whole: Buffer) => {
    const upload = { uploadId: systemIds.next(), owner: 'spec' }
    for (let at = 0; at < whole.length; at += ARTIFACT_CHUNK_BYTES)
      await store.addChunk(upload, at / ARTIFACT_CHUNK_BYTES, whole.subarray(at, at + ARTIFACT_CHUNK_BYTES))
    await store.finish(upload, { sha256: sha256Hex(whole), bytes: whole.length }, async () => undefined)
    return sha256Hex(whole)
  }

  await t.test('what was stored comes back, as a file and never as a page', async t => {
    for (const length of [0, 5, 1_500_000]) {
      const whole = randomBytes(length)
      const sha256 = await put(whole)
      const back = await get(sha256)
      t.ok(Buffer.from(await back.arrayBuffer()).equals(whole))
      t.match(Object.fromEntries(back.headers), {
        'content-type': 'application/octet-stream',
        'content-length': String(length),
        'content-disposition': `attachment; filename="${sha256}"`,
        'x-content-type-options': 'nosniff',
      })
    }
  })

  await t.test('who may, and what there is', async t => {
    const problem = async (response: Response, status: number, code: string) => {
      t.equal(response.status, status)
      t.match(await response.json(), { type: `urn:opsconductor:problem:${code}` })
    }
    await problem(await get(await put(Buffer.from('x')), 'nobody'), 403, 'forbidden')
    await problem(await get('0'.repeat(64)), 404, 'artifact-not-found')
    await problem(await get('nonsense'), 400, 'invalid-input')
  })
})
