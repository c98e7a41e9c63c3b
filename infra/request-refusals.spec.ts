import { once } from 'node:events'
import { connect } from 'node:net'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { z } from 'zod'
import type { RefusalMessage } from '../schemas/refusal.ts'
import { refusalMessage } from '../schemas/refusal.ts'
import { madeHolder } from '../test/support/holder.ts'
import { createHttpServer, type HttpServerOptions, listen, markTold, ProblemError, parseInput } from './http/index.ts'
import type { RefusedRequest } from './http/refused.ts'
import { systemIds } from './ids.ts'
import { createRequestRefusals } from './request-refusals.ts'

const log = pino({ level: 'silent' })

/** Refusals at a time of their own, and what was told of them. */
function refusals(more: { fails?: () => boolean; summaryAfterMs?: number } = {}) {
  const told: RefusalMessage[] = []
  const at = { ms: 0 }
  const clock = { now: () => '2030-01-01T00:00:00.000Z', monotonic: () => at.ms }
  const tell = async (event: RefusalMessage) => {
    if (more.fails?.()) throw new Error('no event store')
    told.push(refusalMessage.parse(event))
  }
  return { ...createRequestRefusals({ tell, clock, ids: systemIds, log, ...more }), told, at }
}

const refused = (more: Partial<RefusedRequest> = {}): RefusedRequest => ({
  ...{ correlationId: systemIds.next(), method: 'GET', route: '/v1/runs', status: 401, code: 'unauthenticated' },
  origin: { channel: 'api', ip: '203.0.113.9' },
  ...more,
})

t.test('one source is told thirty times and then every ten seconds, the rest in one count', async t => {
  const { record, flush, told, at } = refusals()
  for (let n = 0; n < 100; n += 1) record(refused({ code: n % 2 ? 'unauthenticated' : 'rate-limited' }))
  at.ms = 20_000
  record(refused())
  record(refused())
  record(refused())
  await flush()
  t.equal(told.filter(({ type }) => type === 'RequestRefused').length, 32)
  t.match(told.at(-1), {
    type: 'RequestRefusalsCounted',
    data: {
      count: 71,
      codes: { unauthenticated: 36, 'rate-limited': 35 },
      sources: [{ source: '203.0.113.9', count: 71 }],
    },
    metadata: { actor: { kind: 'system' } },
  })
  t.match(told[0], { metadata: { actor: { kind: 'anonymous' }, origin: { ip: '203.0.113.9' } } })
  await flush()
  t.equal(told.length, 33, 'a count is told once')
})

t.test('however many sources there are, the log takes three hundred at once and memory is bounded', async t => {
  const { record, flush, told } = refusals()
  for (let n = 0; n < 20_000; n += 1) record(refused({ origin: { channel: 'api', ip: `10.${n >> 8}.${n & 255}.1` } }))
  await flush()
  t.equal(told.length, 301)
  const last = told.at(-1)
  t.match(last, { data: { count: 19_700, others: 19_680 } })
  t.equal(last?.type === 'RequestRefusalsCounted' && last.data.sources.length, 20)
})

t.test('a principal is told apart from the address it shares', async t => {
  const { record, flush, told } = refusals()
  const actor = { kind: 'api-key', id: 'ann' } as const
  for (let n = 0; n < 40; n += 1) record(refused())
  record(refused({ actor, status: 403, code: 'forbidden' }))
  await flush()
  t.ok(told.some(({ metadata }) => metadata.actor.id === 'ann'))
  t.match(told.at(-1), { data: { count: 10 } })
})

t.test('what cannot be told is counted, and the count comes by itself', async t => {
  let down = true
  const { record, told } = refusals({ fails: () => down, summaryAfterMs: 50 })
  record(refused())
  await new Promise(resolve => setImmediate(resolve))
  down = false
  await new Promise<void>(resolve => {
    const look = () => (told.length > 0 ? resolve() : setTimeout(look, 10))
    look()
  })
  t.match(told, [{ type: 'RequestRefusalsCounted', data: { count: 1, codes: { unauthenticated: 1 } } }])
})

async function server(t: Test) {
  const heard: RefusedRequest[] = []
  const authenticate: HttpServerOptions['authenticate'] = key =>
    key === 'ann' ? madeHolder(key, permission => permission !== 'thing:delete') : undefined
  const http = await createHttpServer({
    ...{ log, authenticate, ready: () => [], refused: each => void heard.push(each), bodyLimit: 1_000 },
    edge: { rateLimit: 2, addressRateLimit: 1 },
  })
  t.teardown(() => http.close())
  http.post('/v1/things/:id', { config: { permission: 'thing:write' } }, async request => {
    const { told } = parseInput(z.strictObject({ told: z.boolean() }), request.body)
    const problem = new ProblemError(told ? 'enrolment-token-invalid' : 'job-disabled')
    if (told) markTold(problem)
    throw problem
  })
  http.post('/v1/delete', { config: { permission: 'thing:delete' } }, async () => [])
  return { http, heard }
}

t.test('every request that is turned away is heard of, and no answer of another kind', async t => {
  const { http, heard } = await server(t)
  const headers = { authorization: 'Bearer ann', 'content-type': 'application/json', 'user-agent': 'x\u00e9' }
  const post = (payload: string, more: object = {}, url = '/v1/things/1?secret=hunter2') =>
    http.inject({ method: 'POST', url, headers: { ...headers, ...more }, payload })
  const cases: Array<[number, string, () => Promise<{ statusCode: number }>]> = [
    [401, 'unauthenticated', () => post('{}', { authorization: 'Bearer hunter2' })],
    [401, 'unauthenticated', () => post('{}', { authorization: '' })],
    [403, 'forbidden', () => post('{}', {}, '/v1/delete')],
    [400, 'invalid-json', () => post('{"a"')],
    [400, 'invalid-input', () => post('{"hunter2":1}')],
    [415, 'unsupported-media-type', () => post('a=b', { 'content-type': 'application/x-www-form-urlencoded' })],
    [413, 'body-too-large', () => post('x'.repeat(2_000))],
    [400, 'bad-request', () => http.inject('/v1/things/%zz')],
  ]
  for (const [status, , sent] of cases) t.equal((await sent()).statusCode, status)
  t.same(
    heard.map(({ status, code }) => [status, code]),
    cases.map(([status, code]) => [status, code]),
  )
  t.match(heard[0], { method: 'POST', route: '/v1/things/:id', origin: { ip: '127.0.0.1', userAgent: 'x?' } })
  t.equal(heard[0]?.actor, undefined)
  t.match(heard[2], { actor: { id: 'ann' }, route: '/v1/delete' })
  t.notMatch(JSON.stringify(heard), /hunter2/)

  heard.length = 0
  t.equal((await post('{"told":false}')).statusCode, 409)
  t.equal((await post('{"told":true}')).statusCode, 403, 'told already, by who knows better')
  t.equal((await http.inject('/health/live')).statusCode, 200)
  t.equal((await http.inject('/nowhere')).statusCode, 404)
  t.same(heard, [])
  for (let n = 0; n < 30; n += 1) await post('{"told":true}')
  t.match(heard[0], { status: 429, code: 'rate-limited', actor: { id: 'ann' } })
})

t.test('what never became a request is heard of too', async t => {
  const { http, heard } = await server(t)
  const url = new URL(await listen(http, { host: '127.0.0.1', port: 0 }))
  for (const text of ['NONSENSE\r\n\r\n', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`]) {
    const socket = connect(Number(url.port), '127.0.0.1').resume()
    socket.write(text)
    await once(socket, 'close')
  }
  t.match(heard, [
    { status: 400, code: 'bad-request', origin: { ip: '127.0.0.1' } },
    { status: 431, code: 'headers-too-large' },
  ])
})
