import { once } from 'node:events'
import { connect } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { publishJson } from '../../infra/bus.ts'
import type { Pool } from '../../infra/postgres.ts'
import { type LiveOutput, subjects } from '../../schemas/bus.ts'
import type { Recorded } from '../../schemas/events.ts'
import { History, ids } from '../../test/support/made-up-log.ts'
import { type ServedQueries, serveQueries } from '../../test/support/query-api.ts'
import { freshReadModel, type ReadModel } from '../../test/support/read-model.ts'

type Got = { id: string; event: string; data: string }
const authorization = 'Bearer reader'

/** Reads a stream until it ends, or until so many events have come: then the connection is cut. */
async function read(
  url: string,
  options: { lastId?: string | undefined; most?: number; path: string },
): Promise<Got[]> {
  const cut = new AbortController()
  const headers = { authorization, ...(options.lastId !== undefined && { 'last-event-id': options.lastId }) }
  const response = await fetch(`${url}${options.path}`, { headers, signal: cut.signal })
  if (response.status !== 200) throw new Error(await response.text())
  const got: Got[] = []
  const decoder = new TextDecoder()
  let text = ''
  try {
    for await (const bytes of response.body ?? []) {
      text += decoder.decode(bytes as Uint8Array, { stream: true })
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
        if (field('event') === '') continue
        got.push({ id: field('id'), event: field('event'), data: field('data') })
        if (got.length >= (options.most ?? Number.POSITIVE_INFINITY)) return got
      }
    }
    return got
  } finally {
    cut.abort()
  }
}

async function printOutput(pool: Pool, runId: string, seq: number): Promise<LiveOutput['chunks'][number]> {
  const at = '2026-01-01T00:00:00.000Z'
  const data = Buffer.from(`line ${seq}\n`)
  const { rows } = await pool.query(
    `insert into output.run_output (run_id, n, step_id, attempt, epoch, seq, stream, byte_offset, at, data)
     values ($1, 0, 'first', 1, 1, $2, 'stdout', $3, $4, $5) returning output_seq`,
    [runId, seq, (seq - 1) * 7, at, data],
  )
  const chunk = { runId, n: 0, stepId: 'first', attempt: 1, epoch: 1, seq, stream: 'stdout', at } as const
  return { ...chunk, byteOffset: (seq - 1) * 7, data: data.toString('base64'), outputSeq: rows[0].output_seq }
}

/** Makes a run happen while it is watched: projects events, stores output, gives the hints, and loses some of them. */
async function perform(
  model: ReadModel,
  served: ServedQueries,
  events: readonly Recorded[],
  runId: string,
  lost: boolean,
) {
  let seq = 0
  for (const [i, event] of events.entries()) {
    const hinted = !lost || i % 3 !== 1
    if (event.type === 'StepStarted') {
      for (let line = 0; line < 5; line += 1) {
        seq += 1
        const chunk = await printOutput(model.pool, runId, seq)
        if (!lost || line !== 2) publishJson(served.bus, subjects.live(runId), { kind: 'output', chunks: [chunk] })
      }
    }
    await model.project([event])
    const { commit, prepare } = event.position
    const position = { commit: String(commit), prepare: String(prepare), runIds: [runId] }
    if (hinted) publishJson(served.bus, subjects.projected, position)
  }
  return seq
}

function printed(got: readonly Got[]): number[] {
  const chunks = got.filter(g => g.event === 'output').flatMap(g => JSON.parse(g.data).chunks as Array<{ seq: number }>)
  return chunks.map(chunk => chunk.seq)
}
const happened = (got: readonly Got[]) => got.filter(g => g.event === 'event').map(g => JSON.parse(g.data).type)
const range = (n: number) => Array.from({ length: n }, (_, i) => i + 1)

t.test('whoever follows a run, cut off at any point, sees each event and each chunk once and in order', async t => {
  const model = await freshReadModel(t)
  const served = await serveQueries(t, model.url)
  const history = new History()
  history.target(0)
  history.job(0)
  await model.project(history.events)
  let round = 0
  const law = async (cuts: number[], lost: boolean) => {
    round += 1
    const before = history.events.length
    const runId = history.run(round, 0, [0, 0, 0], 2)
    const events = history.events.slice(before)
    await model.project(events.slice(0, 1))
    const path = `/v1/runs/${runId}/events`
    const seen: Got[] = []
    const watch = async () => {
      for (const most of [...cuts, Number.POSITIVE_INFINITY]) {
        seen.push(...(await read(served.url, { path, lastId: seen.at(-1)?.id, most })))
        if (seen.at(-1)?.event === 'end') return
      }
    }
    const watching = watch()
    const lines = await perform(model, served, events.slice(1), runId, lost)
    await watching
    t.same(
      happened(seen),
      events.map(event => event.type),
      'events',
    )
    t.same(printed(seen), range(lines), 'output')
    t.same(
      seen.filter(g => g.event !== 'event' && g.event !== 'output').map(g => g.event),
      ['end'],
    )
    const again = await read(served.url, { path, lastId: seen.at(-1)?.id })
    t.same(
      again.map(g => g.event),
      ['end'],
      'after the end there is only the end',
    )
  }
  await fc.assert(fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 8 }), { maxLength: 6 }), fc.boolean(), law), {
    numRuns: 12,
    seed: 3,
  })
})

t.test('a finished run is told from the beginning, output before its end', async t => {
  const model = await freshReadModel(t)
  const served = await serveQueries(t, model.url)
  const history = new History()
  const runId = history.run(0, 0, [0])
  await model.project(history.events)
  for (const seq of range(150)) await printOutput(model.pool, runId, seq)
  const got = await read(served.url, { path: `/v1/runs/${runId}/events` })
  t.same(printed(got), range(150))
  t.same(
    happened(got),
    history.events.map(event => event.type),
  )
  t.same(
    got.slice(-2).map(g => g.event),
    ['event', 'end'],
  )
  t.match(JSON.parse(got.at(-2)?.data ?? ''), { type: 'RunSucceeded', n: null, data: { runId } })
})

t.test('what does not exist is a problem and not a stream; what begins late is waited for', async t => {
  const model = await freshReadModel(t)
  const served = await serveQueries(t, model.url)
  const path = `/v1/runs/${ids.run(0)}/events`
  const ask = (headers: Record<string, string>) =>
    served.http.inject({ url: path, headers: { authorization, ...headers } })
  t.match((await ask({ prefer: 'wait=0' })).json(), { status: 404, type: /run-not-found/ })
  for (const id of ['x', '1', '1.2.3', '-.x', '1.-1']) t.equal((await ask({ 'last-event-id': id })).statusCode, 400, id)
  const late = read(served.url, { path, most: 1 })
  const history = new History()
  history.request(0, 0, [0])
  await model.project(history.events)
  publishJson(served.bus, subjects.projected, { commit: '1', prepare: '1' })
  t.match((await late)[0], { event: 'event', id: '0.0' })
})

t.test('the feed: everything from now on or from a position on, filtered, resumed', async t => {
  const model = await freshReadModel(t)
  const served = await serveQueries(t, model.url)
  const history = new History()
  for (const n of range(250)) history.target(n)
  history.job(0)
  await model.project(history.events)
  const from = (path: string, most: number, lastId?: string) => read(served.url, { path, most, lastId })
  const jobs = await from('/v1/events?after=0&resourceType=job', 2)
  t.same(
    jobs.map(g => [g.event, JSON.parse(g.data).type]),
    [
      ['record', 'JobDefined'],
      ['record', 'JobVersionPublished'],
    ],
  )
  const first = await from('/v1/events?after=9&type=TargetRegistered', 220)
  const rest = await from('/v1/events?after=9&type=TargetRegistered', 20, first.at(-1)?.id)
  const positions = [...first, ...rest].map(g => Number(g.id))
  t.same(positions, range(249).slice(9), 'across pages and a break')
  const live = from('/v1/events', 1)
  await new Promise<void>(resolve => served.http.server.once('request', () => resolve()))
  const before = history.events.length
  // Not known when the stream has begun: so there is always one more.
  const more = async () => {
    for (;;) {
      history.publish(0, history.events.length, `command ${history.events.length}`)
      await model.project(history.events.slice(-1))
      publishJson(served.bus, subjects.projected, { commit: '1', prepare: '1' })
      if (await Promise.race([live.then(() => true), new Promise(resolve => setTimeout(resolve, 20, false))])) return
    }
  }
  await more()
  t.ok(Number((await live)[0]?.id) >= before, 'nothing of the past')
  t.equal((await served.http.inject({ url: '/v1/events?after=x', headers: { authorization } })).statusCode, 400)
})

t.test('streams are ended when the server stops; the client is told to come back', async t => {
  const model = await freshReadModel(t)
  const served = await serveQueries(t, model.url)
  const history = new History()
  const runId = history.request(0, 0, [0])
  await model.project(history.events)
  const got: Got[] = []
  const reading = read(served.url, { path: `/v1/runs/${runId}/events` }).then(all => got.push(...all))
  await new Promise<void>(resolve => served.http.server.once('request', () => setImmediate(resolve)))
  await served.http.close()
  await reading
  t.equal(got.at(-1)?.event, 'resume')
})

t.test('a client that does not read costs no memory and keeps nobody else waiting', async t => {
  const model = await freshReadModel(t)
  const served = await serveQueries(t, model.url)
  const history = new History()
  const runId = history.run(0, 0, [0])
  await model.project(history.events)
  await model.pool.query(
    `insert into output.run_output (run_id, n, step_id, attempt, epoch, seq, stream, byte_offset, at, data)
     select $1, 0, 'first', 1, 1, i, 'stdout', (i - 1) * 32768, '2026-01-01T00:00:00Z', convert_to(repeat('x', 32768), 'UTF8')
     from generate_series(1, 1000) i`,
    [runId],
  )
  const { port } = new URL(served.url)
  const deaf = connect(Number(port), '127.0.0.1')
  deaf.write(`GET /v1/runs/${runId}/events HTTP/1.1\r\nHost: a\r\nAuthorization: ${authorization}\r\n\r\n`)
  await once(deaf, 'readable')
  const memory = process.memoryUsage.rss()
  let bytes = 0
  for (const got of await read(served.url, { path: `/v1/runs/${runId}/events` })) bytes += got.data.length
  t.ok(bytes > 1000 * 32768, 'the other client gets all of it')
  t.ok(process.memoryUsage.rss() - memory < 600e6)
  deaf.destroy()
})
