import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { madeHolder } from '../../test/support/holder.ts'
import { createHttpServer, type HttpServer, type HttpServerOptions, ProblemError, parseInput } from './index.ts'

const correlationId = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
const reader = { authorization: 'Bearer reader' }
const writer = { authorization: 'Bearer writer' }
const json = { ...writer, 'content-type': 'application/json' }

/** Two keys: `writer` may do everything, `reader` may only read. */
const authenticate: HttpServerOptions['authenticate'] = key =>
  key === 'writer' || key === 'reader'
    ? madeHolder(key, permission => key === 'writer' || permission === 'thing:read')
    : undefined

async function server(t: Test, options: Partial<HttpServerOptions> = {}): Promise<HttpServer> {
  const log = pino({ level: 'silent' })
  const http = await createHttpServer({ log, authenticate, ready: () => [], ...options })
  t.teardown(() => http.close())
  const body = z.strictObject({ name: z.string(), size: z.int().optional() })
  http.get('/v1/things/:id', { config: { permission: 'thing:read' } }, async request => ({
    by: request.principal?.actor.id,
  }))
  http.post('/v1/things', { config: { permission: 'thing:write' } }, async request => parseInput(body, request.body))
  http.post('/v1/zod', { config: { permission: 'thing:write' } }, async request => body.parse(request.body))
  http.get('/v1/broken', { config: { permission: 'thing:read' } }, async () => {
    throw new Error('connect to postgres://admin:hunter2@10.0.0.1 failed')
  })
  http.get('/v1/conflict', { config: { permission: 'thing:read' } }, async () => {
    throw new ProblemError('job-disabled', 'The job nightly is disabled')
  })
  http.get('/open', { config: { public: true } }, async () => 'open')
  return http
}

t.test('access is denied by default', async t => {
  const http = await server(t)
  const none = await http.inject('/v1/things/1')
  t.equal(none.statusCode, 401)
  t.match(none.json(), {
    type: 'urn:opsconductor:problem:unauthenticated',
    status: 401,
    correlationId: /^[0-9a-f-]{36}$/,
  })
  t.match(none.headers, { 'content-type': /^application\/problem\+json/, 'www-authenticate': /^Bearer/ })
  t.equal((await http.inject({ url: '/v1/things/1', headers: { authorization: 'Bearer nobody' } })).statusCode, 401)
  t.equal((await http.inject({ url: '/v1/things/1', headers: { authorization: 'Basic cmVhZGVy' } })).statusCode, 401)
  t.same((await http.inject({ url: '/v1/things/1', headers: reader })).json(), { by: 'reader' })
  t.same((await http.inject({ url: '/v1/things/1', headers: { 'x-api-key': 'writer' } })).json(), { by: 'writer' })
  const denied = await http.inject({
    method: 'POST',
    url: '/v1/things',
    headers: { ...json, ...reader },
    payload: '{"name":"a"}',
  })
  t.match(denied.json(), { type: 'urn:opsconductor:problem:forbidden', status: 403 })
  t.equal((await http.inject('/open')).body, 'open')
})

t.test('a route that declares neither a permission nor public cannot exist', async t => {
  const http = await server(t)
  t.throws(() => http.get('/v1/forgotten', async () => 'secret'), /must declare/)
  t.throws(() => http.get('/v1/both', { config: { permission: 'a:b', public: true } }, async () => ''), /must declare/)
  t.throws(
    () => http.get('/v1/odd', { config: { public: true, consumes: 'application/json' } }, async () => ''),
    /take a body/,
  )
})

t.test('errors say what they may and no more', async t => {
  const http = await server(t)
  const broken = await http.inject({ url: '/v1/broken', headers: reader })
  t.equal(broken.statusCode, 500)
  t.notMatch(broken.body, /postgres|hunter2|Error:/)
  const conflict = await http.inject({ url: '/v1/conflict', headers: reader })
  t.match(conflict.json(), {
    type: 'urn:opsconductor:problem:job-disabled',
    status: 409,
    detail: 'The job nightly is disabled',
  })
  for (const url of ['/v1/things', '/v1/zod']) {
    const odd = await http.inject({ method: 'POST', url, headers: json, payload: '{"name":7,"colour":"red"}' })
    t.equal(odd.statusCode, 400, url)
    t.match(odd.json(), {
      type: 'urn:opsconductor:problem:invalid-input',
      errors: [{ path: 'name', message: /string/ }, { message: /colour/ }],
    })
  }
})

t.test('what does not exist is a problem too', async t => {
  const http = await server(t)
  t.match((await http.inject('/nowhere')).json(), { status: 404, type: 'urn:opsconductor:problem:not-found' })
  const wrong = await http.inject({ method: 'DELETE', url: '/v1/things/1?x=1' })
  t.match(wrong.json(), { status: 405, type: 'urn:opsconductor:problem:method-not-allowed' })
  t.equal(wrong.headers.allow, 'GET, HEAD')
  t.equal(
    (await http.inject({ method: 'POST', url: '/nowhere', payload: '<x/>', headers: { 'content-type': 'text/xml' } }))
      .statusCode,
    404,
  )
  t.equal((await http.inject('/v1/things/%zz')).statusCode, 400)
})

t.test('a request keeps its correlation id, or gets one', async t => {
  const http = await server(t)
  const kept = await http.inject({ url: '/open', headers: { 'x-correlation-id': correlationId } })
  t.equal(kept.headers['x-correlation-id'], correlationId)
  const minted = await http.inject({ url: '/open', headers: { 'x-correlation-id': 'x\u007f; drop' } })
  t.match(minted.headers['x-correlation-id'], /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
})

t.test('bodies are strict JSON', async t => {
  const http = await server(t, { bodyLimit: 4096 })
  const post = (payload: string | Buffer, headers: Record<string, string> = {}) =>
    http.inject({ method: 'POST', url: '/v1/things', headers: { ...json, ...headers }, payload })
  t.same((await post('{"name":"a","size":3}')).json(), { name: 'a', size: 3 })
  t.equal((await post('{"name":"constructor and __proto__"}')).statusCode, 200, 'as a value they are only text')
  const refused: Array<[string, string | Buffer, string, RegExp]> = [
    ['not JSON', '{"name":', 'invalid-json', /not valid JSON/],
    ['empty', '', 'invalid-json', /empty/],
    ['invalid UTF-8', Buffer.from([0x22, 0xc3, 0x28, 0x22]), 'invalid-json', /UTF-8/],
    ['byte order mark', Buffer.from('\ufeff{"name":"a"}'), 'invalid-json', /not valid JSON/],
    ['__proto__', '{"name":"a","__proto__":{"admin":true}}', 'invalid-json', /__proto__/],
    ['escaped __proto__', '{"name":"a","\\u005f_pr\\u006fto__":1}', 'invalid-json', /__proto__/],
    ['nested constructor', '[{"a":{"constructor":{"prototype":1}}}]', 'invalid-json', /constructor/],
    ['deep', '['.repeat(33) + ']'.repeat(33), 'invalid-json', /deeper than 32/],
    ['very deep', '['.repeat(4000), 'invalid-json', /deeper/],
    ['large', JSON.stringify({ name: 'x'.repeat(5000) }), 'body-too-large', /./],
  ]
  for (const [what, payload, code, detail] of refused) {
    const answer = await post(payload)
    t.equal(answer.json().type, `urn:opsconductor:problem:${code}`, what)
    t.match(answer.json().detail ?? '-', detail, what)
  }
  t.equal(
    (await post('[{"a":"]]]]\\"[[[["}]')).json().type,
    'urn:opsconductor:problem:invalid-input',
    'brackets in text',
  )
})

t.test('only the declared content type is read', async t => {
  const http = await server(t)
  const types = [
    'text/plain',
    'application/json;charset=utf-8x',
    'application/json\t',
    'application/jsonx',
    'application/json; charset=utf-16',
    'application/json, text/plain',
    'multipart/form-data; boundary=x',
  ]
  for (const type of types) {
    const answer = await http.inject({
      method: 'POST',
      url: '/v1/things',
      headers: { ...writer, 'content-type': type },
      payload: '{"name":"a"}',
    })
    t.equal(answer.statusCode, 415, JSON.stringify(type))
  }
  const none = await http.inject({ method: 'POST', url: '/v1/things', headers: writer })
  t.equal(none.statusCode, 415, 'no content type')
  const packed = await http.inject({
    method: 'POST',
    url: '/v1/things',
    headers: { ...json, 'content-encoding': 'gzip' },
    payload: 'x',
  })
  t.equal(packed.statusCode, 415, 'compressed')
  const charset = await http.inject({
    method: 'POST',
    url: '/v1/things',
    headers: { ...writer, 'content-type': 'application/json; charset=UTF-8' },
    payload: '{"name":"a"}',
  })
  t.equal(charset.statusCode, 200)
})

t.test('over a socket: bad HTTP, doubled headers, bodies without end, requests that never come', async t => {
  const http = await server(t, { bodyLimit: 1000, timeouts: { headersMs: 250, requestMs: 500 } })
  await http.listen({ port: 0, host: '127.0.0.1' })
  const send = async (text: string) => {
    const { port } = http.server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    let got = ''
    socket.on('data', chunk => {
      got += chunk
      if (got.includes('}')) socket.destroy()
    })
    socket.write(text)
    await once(socket, 'close')
    return got
  }
  t.match(await send('NONSENSE\r\n\r\n'), /^HTTP\/1.1 400 .*\r\nContent-Type: application\/problem\+json/)
  t.match(await send(`GET /open HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1.1 431 /)
  const head = 'POST /v1/things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer writer\r\n'
  const twice = 'Content-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\n{"name":"a"}'
  t.match(await send(head + twice), /^HTTP\/1.1 415 /)
  const chunked = 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
  const slow = 'HTTP/1.1 408 .*\\r\\nContent-Type: application/problem\\+json'
  t.match(await send('GET /open HTTP/1.1\r\nHost: a'), new RegExp(slow), 'headers')
  t.match(
    await send(`${head}Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{"na`),
    new RegExp(slow),
    'body',
  )
  t.match(await send(`${head}${chunked}7d0\r\n${'['.repeat(2000)}\r\n0\r\n\r\n`), /^HTTP\/1.1 413 /)
})

t.test('health answers need no key', async t => {
  let ok = false
  const http = await server(t, { ready: () => [{ name: 'log', ok }] })
  t.same((await http.inject('/health/live')).json(), { live: true })
  t.equal((await http.inject('/health/ready')).statusCode, 503)
  ok = true
  t.same((await http.inject('/health/ready')).json(), { ready: true, checks: [{ name: 'log', ok: true }] })
})

t.test('log lines name the route, never the query or the key', async t => {
  const lines: string[] = []
  const http = await server(t, { log: pino({ level: 'debug' }, { write: line => void lines.push(line) }) })
  await http.inject({ url: '/v1/things/1?token=abc', headers: { ...reader, 'x-correlation-id': correlationId } })
  await http.inject({ url: '/v1/broken', headers: reader })
  await http.inject('/health/live')
  const seen = lines.map(line => JSON.parse(line))
  t.match(seen[0], { route: '/v1/things/:id', status: 200, actor: 'reader', correlationId })
  t.match(seen[1], { msg: 'request failed', err: { message: /hunter2/ } })
  t.equal(seen.length, 3)
  t.notMatch(lines.join(''), /token|Bearer/)
})
