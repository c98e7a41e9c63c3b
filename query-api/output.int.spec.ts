import fc from 'fast-check'
import t from 'tap'
import type { Pool } from '../infra/postgres.ts'
import { streams } from '../schemas/events.ts'
import { History, ids } from '../test/support/made-up-log.ts'
import { serveQueries } from '../test/support/query-api.ts'
import { freshReadModel } from '../test/support/read-model.ts'

type Chunk = { seq: number; stream: 'stdout' | 'stderr'; offset: number; data: Buffer; attempt?: number; n?: number }
const authorization = 'Bearer reader'

async function store(pool: Pool, runId: string, chunks: readonly Chunk[]): Promise<void> {
  for (const { seq, stream, offset, data, attempt = 1, n = 0 } of chunks) {
    await pool.query(
      `insert into output.run_output (run_id, n, step_id, attempt, epoch, seq, stream, byte_offset, at, data)
       values ($1, $2, 'first', $3, 1, $4, $5, $6, '2026-01-01T00:00:00Z', $7)`,
      [runId, n, attempt, seq, stream, offset, data],
    )
  }
}

/** A run whose one step has printed `text`, cut into chunks of this size; every third goes to stderr. */
function cut(text: Buffer, size: number): Chunk[] {
  const chunks: Chunk[] = []
  for (let offset = 0; offset < text.length; offset += size) {
    const seq = chunks.length + 1
    const stream = seq % 3 === 0 ? 'stderr' : 'stdout'
    chunks.push({ seq, stream, offset, data: text.subarray(offset, offset + size) })
  }
  return chunks
}

t.test('any range of what a step printed comes back as it was, in every format', async t => {
  const model = await freshReadModel(t)
  const { http, pool } = await serveQueries(t, model.url)
  const history = new History()
  const runId = history.run(0, 0, [0])
  await model.project(history.events)
  const text = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 251))
  await store(pool, runId, cut(text, 64))
  const get = async (query: string) => {
    const url = `/v1/runs/${runId}/output?n=0&step=first&${query}`
    return await http.inject({ url, headers: { authorization } })
  }
  await fc.assert(
    fc.asyncProperty(fc.nat(5200), fc.nat(5200), async (from, length) => {
      const expected = text.subarray(from, from + length)
      const raw = await get(`format=raw&from=${from}&length=${length}`)
      t.ok(raw.rawPayload.equals(expected), `raw ${from}+${length}`)
      const { items } = (await get(`from=${from}&length=${length}`)).json()
      const joined = Buffer.concat(items.map((item: { data: string }) => Buffer.from(item.data, 'base64')))
      t.ok(joined.equals(expected), `json ${from}+${length}`)
      if (items.length > 0) t.equal(items[0].byteOffset, from)
    }),
    { numRuns: 25, seed: 5 },
  )
  const whole = await get('format=raw')
  t.match(whole.headers, {
    'content-disposition': `attachment; filename="run-${runId}-0-first-1.log"`,
    'x-content-type-options': 'nosniff',
    'content-type': 'application/octet-stream',
  })
  t.equal((await get('format=text')).headers['content-type'], 'text/plain; charset=utf-8')
  const stderr = cut(text, 64).filter(chunk => chunk.stream === 'stderr')
  t.ok((await get('format=raw&stream=stderr')).rawPayload.equals(Buffer.concat(stderr.map(chunk => chunk.data))))
})

t.test('missing bytes are named, an unfinished step says so, a new attempt hides the old one', async t => {
  const model = await freshReadModel(t)
  const { http, pool } = await serveQueries(t, model.url)
  const history = new History()
  const runId = history.run(0, 0, [0, 1])
  history.request(1, 0, [0])
  history.claim(1, 0, 0)
  const step = { runId: ids.run(1), n: 0, stepId: 'first', attempt: 1, epoch: 1, at: '2026-01-01T00:00:00Z' }
  history.add(streams.targetRun(ids.run(1), 0), { type: 'StepStarted', data: step })
  await model.project(history.events)
  const get = async (query: string, run = runId) =>
    await http.inject({ url: `/v1/runs/${run}/output?${query}`, headers: { authorization } })
  const data = Buffer.from('abc')
  const at = (seq: number, offset: number, more = {}) => ({ seq, offset, stream: 'stdout', data, ...more }) as const
  // Twelve bytes were sealed; 3-6 and 9-12 never arrived.
  await store(pool, runId, [at(1, 0), at(3, 6)])
  const known = (await get('n=0&step=first')).json()
  t.match(known, {
    gaps: [
      { from: 3, to: 6 },
      { from: 9, to: 12 },
    ],
    complete: true,
    next: null,
  })
  t.equal(known.items.length, 2)
  t.equal((await get('n=0&step=first&format=text')).headers['x-output-gaps'], '3-6, 9-12')
  t.same((await get('n=0&step=first&from=4&length=1')).json().gaps, [{ from: 4, to: 5 }])
  await store(pool, ids.run(1), [at(1, 0)])
  t.match((await get('n=0&step=first', ids.run(1))).json(), { complete: false, next: '3', gaps: [] })
  t.match((await get('n=0&step=first&from=3', ids.run(1))).json(), { complete: false, items: [] })
  await store(pool, runId, [at(1, 0, { attempt: 2, data: Buffer.from('again') })])
  t.equal((await get('n=0&step=first&format=text')).body, 'again')
  t.equal((await get('n=0&step=first&attempt=1&format=text')).body, 'abcabc')

  const one = (await get('limit=2')).json()
  t.same(
    one.items.map((item: { outputSeq: string }) => item.outputSeq),
    ['1', '2'],
  )
  const two = (await get(`limit=2&after=${one.next}`)).json()
  t.match(two, { items: [{ outputSeq: '3', attempt: 2 }], next: null })
  t.same((await get('n=1')).json().items, [])
})

t.test('a question that makes no sense is refused', async t => {
  const model = await freshReadModel(t)
  const { http } = await serveQueries(t, model.url)
  const history = new History()
  const runId = history.request(0, 0, [0])
  await model.project(history.events)
  const ask = async (query: string, run = runId) =>
    (await http.inject({ url: `/v1/runs/${run}/output?${query}`, headers: { authorization } })).statusCode
  for (const query of [
    'step=first',
    'format=raw',
    'n=0&format=text',
    'n=-1',
    'n=x',
    'from=-1',
    'colour=red',
    'after=x',
  ])
    t.equal(await ask(query), 400, query)
  t.equal(await ask('', ids.run(9)), 404)
  t.equal(await ask('n=0&step=first'), 404, 'never started')
})

t.test('a gigabyte would cost no more memory than a megabyte', async t => {
  const model = await freshReadModel(t)
  const { http, pool, url } = await serveQueries(t, model.url)
  t.ok(http)
  const history = new History()
  const runId = history.run(0, 0, [0])
  await model.project(history.events)
  const megabytes = 160
  await pool.query(
    `insert into output.run_output (run_id, n, step_id, attempt, epoch, seq, stream, byte_offset, at, data)
     select $1, 0, 'first', 1, 1, i, 'stdout', (i - 1) * 65536, '2026-01-01T00:00:00Z', convert_to(repeat('x', 65536), 'UTF8')
     from generate_series(1, ${megabytes * 16}) i`,
    [runId],
  )
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  let bytes = 0
  const response = await fetch(`${url}/v1/runs/${runId}/output?n=0&step=first&format=raw`, {
    headers: { authorization },
  })
  for await (const chunk of response.body ?? []) {
    bytes += (chunk as Uint8Array).length
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  t.equal(bytes, megabytes * 1_048_576)
  t.ok(most < 110e6, `${Math.round(most / 1e6)} MB at most`)
})
