import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { madeHolder } from '../../test/support/holder.ts'
import { createHttpServer, type HttpServer, type HttpServerOptions, registerDocs } from './index.ts'
import { clientAddress } from './proxies.ts'
import { TokenBuckets } from './token-buckets.ts'

const ui = 'https://ui.example.org'
const ann = { authorization: 'Bearer ann' }
const authenticate: HttpServerOptions['authenticate'] = key =>
  key === 'ann' || key === 'bob' ? madeHolder(key) : undefined

async function server(t: Test, options: Partial<HttpServerOptions> = {}): Promise<HttpServer> {
  const http = await createHttpServer({ log: pino({ level: 'silent' }), authenticate, ready: () => [], ...options })
  t.teardown(() => http.close())
  http.get('/v1/things', { config: { permission: 'thing:read' } }, async () => [])
  http.post('/v1/things', { config: { permission: 'thing:write' } }, async request => request.body)
  http.get('/v1/large', { config: { permission: 'thing:read' } }, async () => Buffer.alloc(64 << 20))
  http.get('/open', { config: { public: true } }, async request => ({
    ...{ ip: clientAddress(request), host: request.host, protocol: request.protocol },
  }))
  return http
}

t.test('what every answer says to a browser', async t => {
  const http = await server(t)
  for (const url of ['/open', '/v1/things', '/nowhere', '/health/live']) {
    const { headers } = await http.inject(url)
    t.match(
      headers,
      {
        'content-security-policy': /default-src 'self'.*frame-ancestors 'none'/,
        ...{ 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'cache-control': 'no-store' },
        ...{ 'referrer-policy': 'no-referrer', 'cross-origin-resource-policy': 'same-origin' },
        'strict-transport-security': /max-age/,
      },
      url,
    )
    t.notMatch(headers['content-security-policy'], /script-src[^;]*unsafe|\*|https?:/, url)
    t.notOk(headers['x-powered-by'] ?? headers.server, url)
  }
})

t.test('no page of another origin may read an answer unless its origin was configured', async t => {
  const closed = await server(t)
  for (const origin of [ui, 'null', 'http://localhost:7400', 'https://evil.example']) {
    const answer = await closed.inject({ url: '/v1/things', headers: { ...ann, origin } })
    t.notOk(answer.headers['access-control-allow-origin'], origin)
  }
  const asked = { origin: ui, 'access-control-request-method': 'POST' }
  t.equal((await closed.inject({ method: 'OPTIONS', url: '/v1/things', headers: asked })).statusCode, 405)

  const open = await server(t, { edge: { corsOrigins: [ui] } })
  const get = (origin: string) => open.inject({ url: '/v1/things', headers: { ...ann, origin } })
  t.match((await get(ui)).headers, { 'access-control-allow-origin': ui, vary: 'Origin' })
  const near = [`${ui}.evil.example`, 'http://ui.example.org', `${ui}:8443`, 'https://UI.example.org', `${ui}/`, 'null']
  for (const origin of [...near, '*', 'https://evil.example']) {
    const { headers } = await get(origin)
    t.notOk(headers['access-control-allow-origin'], origin)
    t.equal(headers.vary, 'Origin', 'no cache hands on what another origin was told')
  }
  const preflight = await open.inject({ method: 'OPTIONS', url: '/v1/things', headers: asked })
  t.equal(preflight.statusCode, 204)
  t.match(preflight.headers, {
    'access-control-allow-origin': ui,
    'access-control-allow-headers': /authorization.*if-match/,
  })
  for (const answer of [preflight, await get(ui)]) t.notOk(answer.headers['access-control-allow-credentials'])
  t.equal((await open.inject({ method: 'OPTIONS', url: '/v1/things', headers: { origin: ui } })).statusCode, 405)
})

t.test('a page cannot make a browser act for somebody', async t => {
  const http = await server(t, { edge: { corsOrigins: [ui] } })
  const simple = ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']
  for (const type of [...simple, 'text/plain; charset=application/json']) {
    const headers = { ...ann, origin: 'https://evil.example', 'content-type': type }
    const answer = await http.inject({ method: 'POST', url: '/v1/things', headers, payload: '{"name":"a"}' })
    t.equal(answer.statusCode, 415, `${type} needs no preflight, and is never read`)
  }
  const headers = { 'content-type': 'application/json', cookie: 'session=ann; authorization=Bearer%20ann' }
  const answer = await http.inject({ method: 'POST', url: '/v1/things', headers, payload: '{}' })
  t.equal(answer.statusCode, 401, 'a cookie is nobody')
  for (const url of ['/open', '/v1/things', '/health/live']) {
    t.notOk((await http.inject({ url, headers: ann })).headers['set-cookie'], url)
  }
})

t.test('a principal that asks too often is told when to come back', async t => {
  const http = await server(t, { edge: { rateLimit: 1 } })
  const ask = (who: object = ann) => http.inject({ url: '/v1/things', headers: { ...who } })
  const answers = []
  for (let n = 0; n < 12; n += 1) answers.push(await ask())
  t.same(
    answers.map(a => a.statusCode),
    [...Array(10).fill(200), 429, 429],
  )
  t.match(answers[0]?.headers, { ratelimit: '"principal";r=9;t=1', 'ratelimit-policy': '"principal";q=10;w=10' })
  t.match(answers[11]?.headers, { ratelimit: '"principal";r=0;t=1', 'retry-after': '1' })
  t.equal(answers[11]?.json().type, 'urn:opsconductor:problem:rate-limited')
  t.equal((await ask({ authorization: 'Bearer bob' })).statusCode, 200, 'each counts for itself')
  t.equal((await http.inject('/health/live')).statusCode, 200)
  const free = await server(t, { edge: { rateLimit: 0, addressRateLimit: 0 } })
  const { headers } = await free.inject({ url: '/v1/things', headers: ann })
  t.notOk(headers.ratelimit)
})

t.test('an address without a principal is slowed, and nobody else with it', async t => {
  const http = await server(t, { edge: { addressRateLimit: 1 } })
  const guess = (n: number) =>
    http.inject({ url: '/v1/things', headers: { 'x-api-key': `guess-${n}`, 'x-forwarded-for': `203.0.113.${n}` } })
  const guesses = []
  for (let n = 0; n < 12; n += 1) guesses.push((await guess(n)).statusCode)
  t.same(guesses, [...Array(10).fill(401), 429, 429], 'whatever it says about where it comes from')
  const limited = await http.inject('/open')
  t.match(limited, { statusCode: 429, headers: { 'retry-after': '1', ratelimit: '"address";r=0;t=1' } })
  t.equal((await http.inject('/nowhere')).statusCode, 429, 'looking for what there is counts too')
  t.equal((await http.inject({ url: '/v1/things', headers: ann })).statusCode, 200, 'a key behind the same address')
  t.equal((await http.inject({ url: '/open', remoteAddress: '198.51.100.9' })).statusCode, 200)
})

t.test('what anybody may read is limited too; whoever looks after the system is not', async t => {
  const http = await server(t, { edge: { addressRateLimit: 1 } })
  registerDocs(http)
  const ask = async (url: string) => (await http.inject({ url, remoteAddress: '198.51.100.7' })).statusCode
  const large = ['/v1/openapi.json', '/docs', '/docs/swagger-ui-bundle.js', '/docs/start.js']
  const statuses = []
  for (let n = 0; n < 12; n += 1) statuses.push(await ask(large[n % large.length] ?? ''))
  t.same(statuses, [...Array(10).fill(200), 429, 429])
  for (const url of ['/health/live', '/health/ready']) t.equal(await ask(url), 200, url)
})

t.test('only a trusted proxy says where a request comes from', async t => {
  const http = await server(t, { edge: { trustedProxies: ['10.0.0.0/8', 'fd00::1'] } })
  const from = async (remoteAddress: string, forwarded: string) => {
    const headers = { 'x-forwarded-for': forwarded, 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }
    return (await http.inject({ url: '/open', remoteAddress, headers: { host: 'own.example', ...headers } })).json()
  }
  const own = { host: 'own.example', protocol: 'http' }
  t.same(await from('198.51.100.1', '203.0.113.9'), { ip: '198.51.100.1', ...own }, 'nobody else')
  t.match(await from('10.1.2.3', '203.0.113.9'), { ip: '203.0.113.9', host: 'evil.example', protocol: 'https' })
  t.match(await from('::ffff:10.1.2.3', '203.0.113.9'), { ip: '203.0.113.9' })
  t.match(
    await from('10.1.2.3', '1.1.1.1, 203.0.113.9, 10.9.9.9'),
    { ip: '203.0.113.9' },
    'not what a client put first',
  )
  for (const odd of ['unknown', '203.0.113.9:4711', 'x\u007f', '']) {
    t.match(await from('10.1.2.3', odd), { ip: '10.1.2.3' }, `${odd} is no address`)
  }
  t.match(await from('fd00::1', '2001:db8::7'), { ip: '2001:db8::7' })
  const plain = await server(t)
  const told = await plain.inject({ url: '/open', headers: { host: 'a', 'x-forwarded-for': '203.0.113.9' } })
  t.match(told.json(), { ip: '127.0.0.1', host: 'a' }, 'without a configured proxy there is none')
})

const portOf = (http: HttpServer) => (http.server.address() as AddressInfo).port // listens on TCP

function raw(http: HttpServer, text = ''): Socket {
  const socket = connect(portOf(http), '127.0.0.1')
  socket.on('error', () => undefined)
  if (text) socket.write(text)
  return socket
}

/** Also one that was reset. */
const closed = (socket: Socket) => new Promise(resolve => socket.once('close', resolve))

async function answerOf(socket: Socket): Promise<string> {
  let got = ''
  socket.on('data', chunk => {
    got += chunk
  })
  await closed(socket)
  return got
}

t.test('connections are bounded, for one address and altogether', async t => {
  const http = await server(t, { edge: { maxConnectionsPerAddress: 3 } })
  await http.listen({ port: 0, host: '127.0.0.1' })
  const held = [raw(http), raw(http), raw(http)]
  await Promise.all(held.map(socket => once(socket, 'connect')))
  t.equal(await answerOf(raw(http, 'GET /open HTTP/1.1\r\nHost: a\r\n\r\n')), '', 'one too many')
  const [first] = held
  first?.end()
  if (first) await closed(first)
  const again = raw(http, 'GET /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  t.match(await answerOf(again), /^HTTP\/1.1 200 /, 'room again')
  for (const socket of held) socket.destroy()

  const few = await server(t, {
    edge: { maxConnections: 1, trustedProxies: ['127.0.0.1'], maxConnectionsPerAddress: 1 },
  })
  await few.listen({ port: 0, host: '127.0.0.1' })
  const only = raw(few)
  await once(only, 'connect')
  t.equal(await answerOf(raw(few, 'GET /open HTTP/1.1\r\nHost: a\r\n\r\n')), '')
  only.destroy()
})

t.test('who says nothing, speaks slowly or does not read is let go, and others are served meanwhile', async t => {
  const timeouts = { headersMs: 300, requestMs: 600, stillMs: 700 }
  const http = await server(t, { timeouts })
  await http.listen({ port: 0, host: '127.0.0.1' })
  const served = once(http.server, 'connection')
  raw(http, 'GET /v1/large HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ann\r\n\r\n').pause()
  const [connection] = await served
  const letGo = closed(connection)
  const idle = Array.from({ length: 200 }, () => raw(http))
  const slow = Array.from({ length: 50 }, () => raw(http, 'GET /open HTTP/1.1\r\nHost: a\r\nX-Slow: '))
  const drip = setInterval(() => {
    for (const socket of slow) socket.write('x')
  }, 50)
  t.teardown(() => clearInterval(drip))
  const gone = Promise.all([...idle, ...slow].map(socket => closed(socket.resume())))
  t.equal((await fetch(`http://127.0.0.1:${portOf(http)}/open`)).status, 200)
  await gone
  t.equal((await fetch(`http://127.0.0.1:${portOf(http)}/open`)).status, 200)
  await letGo
})

t.test('what is not HTTP/1.1 is not spoken', async t => {
  const http = await server(t)
  await http.listen({ port: 0, host: '127.0.0.1' })
  t.match(await answerOf(raw(http, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')), /^HTTP\/1.1 (400|505) /)
  const upgrade = 'Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n'
  t.match(await answerOf(raw(http, `GET /v1/things HTTP/1.1\r\nHost: a\r\n${upgrade}`)), /^HTTP\/1.1 401 /)
  const twoHosts = 'GET /open HTTP/1.1\r\nHost: a\r\nhost: b\r\nConnection: close\r\n\r\n'
  t.match(await answerOf(raw(http, twoHosts)), /^HTTP\/1.1 400 /)
  t.match(await answerOf(raw(http, 'GET /open HTTP/1.1\r\nConnection: close\r\n\r\n')), /^HTTP\/1.1 400 /)
  const both = 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
  t.match(await answerOf(raw(http, `POST /v1/things HTTP/1.1\r\nHost: a\r\n${both}`)), /^HTTP\/1.1 400 /)
})

t.test('a limit for many is kept in bounded memory, and comes back by itself', async t => {
  const buckets = new TokenBuckets({ perSecond: 2, capacity: 4 })
  for (const left of [3, 2, 1, 0]) t.match(buckets.take('a', 0), { taken: true, left })
  t.same(buckets.take('a', 100), { taken: false, left: 0, seconds: 1 })
  t.match(buckets.take('a', 1_000), { taken: true, left: 1 })
  t.match(buckets.take('a', 60_000), { taken: true, left: 3 }, 'never more than there is room for')
  for (let n = 0; n < 60_000; n += 1) buckets.take(`address ${n}`, 60_000)
  t.ok(buckets.size <= 50_000)
})
