import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { madeHolder } from '../../test/support/holder.ts'
import { createHttpServer, parseInput, parseStrictJson } from './index.ts'

const key = { authorization: 'Bearer ann' }
const json = { ...key, 'content-type': 'application/json' }

async function server(t: Test) {
  const lines: string[] = []
  const log = pino({ level: 'debug' }, { write: line => void lines.push(line) })
  const authenticate = (given: string) => (given === 'ann' ? madeHolder('ann') : undefined)
  const http = await createHttpServer({ log, authenticate, ready: () => [] })
  t.teardown(() => http.close())
  const body = z.strictObject({ name: z.string() })
  const query = z.strictObject({ name: z.string().optional() })
  http.get('/v1/things/:id', { config: { permission: 'thing:read' } }, async request =>
    parseInput(query, request.query),
  )
  http.post('/v1/things', { config: { permission: 'thing:write' } }, async request => {
    request.log.warn({ body: request.body }, 'taken')
    return parseInput(body, request.body)
  })
  return { http, lines }
}

t.test('no way of writing a path leads past the door', async t => {
  const { http } = await server(t)
  const odd = [
    ...['/v1/things/1/', '/V1/THINGS/1', '//v1/things/1', '/v1//things/1', '/./v1/things/1', '/x/../v1/things/1'],
    ...[
      '/v1/things/1;x',
      '/v1/..;/v1/things/1',
      '/%76%31/things/1',
      '/v1/things/%2e%2e',
      '/v1%2fthings%2f1',
      '/v1/things/1%00',
    ],
    ...[
      '/v1/things/1%252f',
      '/v1/things/1?permission=*',
      '/v1/things/1#x',
      '/health/../v1/things/1',
      '/health/live/..%2f..%2fv1/things/1',
    ],
  ]
  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'] as const
  for (const url of ['/v1/things/1', '/v1/things', ...odd]) {
    for (const method of methods) {
      const { statusCode } = await http.inject({ method, url, headers: { 'x-http-method-override': 'GET' } })
      t.ok([400, 401, 404, 405, 415].includes(statusCode), `${method} ${url}: ${statusCode}`)
    }
  }
  const overridden = { ...json, 'x-http-method-override': 'GET', 'x-method-override': 'GET', 'x-original-url': '/open' }
  const sent = await http.inject({ method: 'POST', url: '/v1/things?_method=GET', headers: overridden, payload: '{}' })
  t.equal(sent.statusCode, 400, 'it stays a POST')
})

t.test('what somebody says they are is not asked for', async t => {
  const { http } = await server(t)
  const claims = { 'x-user': 'root', 'x-forwarded-user': 'root', 'x-remote-user': 'root', remote_user: 'root' }
  t.equal((await http.inject({ url: '/v1/things/1', headers: claims })).statusCode, 401)
  for (const query of [
    'user=root',
    'scope=all',
    'apikey=ann',
    'access_token=ann',
    '__proto__[admin]=1',
    'constructor=x',
  ]) {
    t.equal((await http.inject({ url: `/v1/things/1?${query}`, headers: key })).statusCode, 400, query)
    t.equal((await http.inject(`/v1/things/1?${query}`)).statusCode, 401, query)
  }
  for (const query of ['name=a&name=b', 'name[$ne]=x', 'name[]=x', 'name.toString=x', 'toString=x']) {
    t.equal((await http.inject({ url: `/v1/things/1?${query}`, headers: key })).statusCode, 400, query)
  }
  const plain: Record<string, unknown> = {}
  t.equal(plain.admin, undefined)
})

t.test('hostile bodies are refused quickly, and in little memory', async t => {
  const { http } = await server(t)
  const keys = Array.from({ length: 60_000 }, (_, n) => `"k${n}":0`).join()
  const hostile: Array<[string, string | Buffer]> = [
    ['many keys', `{${keys}}`],
    ['one long key', `{"${'k'.repeat(900_000)}":1}`],
    ['many levels', '['.repeat(100_000)],
    ['many lists', `[${'[],'.repeat(300_000)}[]]`],
    ['doubled keys', '{"name":"good","name":"evil"}'],
    ['doubled keys, escaped', '{"name":"good","n\\u0061me":"evil"}'],
    ['doubled keys below', '{"name":{"a":[{"b":1,"b":2}]}}'],
    ['numbers without end', `{"name":1${'0'.repeat(500_000)}}`],
    ['text without end', `{"name":"${'x'.repeat(1_200_000)}"}`],
    ['not a character', Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
    ['UTF-16', Buffer.from('{"name":"a"}', 'utf16le')],
    ['NaN', '{"name":NaN}'],
    ['a comment', '{"name":"a"/**/}'],
    ['more than one', '{"name":"a"}{"name":"b"}'],
  ]
  for (const [what, payload] of hostile) {
    // Of this process alone: how busy the machine is does not count.
    const before = process.cpuUsage()
    const answer = await http.inject({ method: 'POST', url: '/v1/things', headers: json, payload })
    const { user, system } = process.cpuUsage(before)
    t.ok([400, 413].includes(answer.statusCode), `${what}: ${answer.statusCode}`)
    t.ok(user + system < 1_000_000, `${what} takes ${Math.round((user + system) / 1_000)} ms`)
    t.ok(answer.body.length < 40_000, `${what} is not sent back`)
  }
  const bomb = gzipSync(Buffer.alloc(1_000_000))
  const packed = await http.inject({
    method: 'POST',
    url: '/v1/things',
    headers: { ...json, 'content-encoding': 'gzip' },
    payload: bomb,
  })
  t.equal(packed.statusCode, 415)
  t.same(parseStrictJson(Buffer.from('{"a":"b:c\\":","b":[{"a":1},{"a":{}}],"":[]}')), {
    a: 'b:c":',
    b: [{ a: 1 }, { a: {} }],
    '': [],
  })
})

t.test('a body without end is cut off where it is too long, and never kept', async t => {
  const { http } = await server(t)
  await http.listen({ port: 0, host: '127.0.0.1' })
  const { port } = http.server.address() as AddressInfo // listens on TCP
  const before = process.memoryUsage().rss
  const headers = { ...json, 'content-length': String(1 << 30) }
  const status = await new Promise<number | undefined>(resolve => {
    const sent = httpRequest({ port, host: '127.0.0.1', path: '/v1/things', method: 'POST', headers })
    sent.on('response', answer => resolve(answer.statusCode)).on('error', () => resolve(undefined))
    sent.write(Buffer.alloc(100_000, 0x20))
  })
  t.equal(status, 413, 'by its own word')
  const chunked = await new Promise<number | undefined>(resolve => {
    const sent = httpRequest({ port, host: '127.0.0.1', path: '/v1/things', method: 'POST', headers: json })
    let over = false
    const end = (answer?: number) => {
      over = true
      resolve(answer)
    }
    sent.on('response', answer => end(answer.statusCode)).on('error', () => end())
    const more = () => {
      while (!over && sent.write(Buffer.alloc(1 << 20, 0x20)));
    }
    sent.on('drain', more)
    more()
  })
  t.ok(chunked === 413 || chunked === undefined, 'by what has come')
  t.ok(process.memoryUsage().rss - before < 200 << 20)
})

t.test('whatever is said, a log line is one line of JSON', async t => {
  const { http, lines } = await server(t)
  const odd = [
    'a\r\nb',
    'a\nINFO forged',
    '\u001b[2J\u001b]0;x\u0007',
    '"},{"level":60',
    '\u2028\u2029',
    '\u202etxt.exe',
    '{{7*7}}${7*7}%n%s',
    '\u0000',
  ]
  for (const text of odd) {
    await http.inject({ method: 'POST', url: '/v1/things', headers: json, payload: JSON.stringify({ name: text }) })
    const latin1 = Buffer.from(text)
      .toString('latin1')
      .replace(/[^\x20-\xff]/g, '?')
    await http.inject({
      url: `/v1/things/${encodeURIComponent(text)}`,
      headers: { ...key, 'user-agent': latin1, 'x-correlation-id': latin1 },
    })
  }
  t.ok(lines.length >= 2 * odd.length)
  for (const line of lines) {
    t.equal(line.indexOf('\n'), line.length - 1)
    t.notMatch(line.slice(0, -1), /\p{Cc}/u)
    t.ok([20, 30, 40].includes(JSON.parse(line).level), 'a level of ours')
  }
  t.ok(
    lines.some(line => line.includes('{{7*7}}${7*7}%n%s')),
    'nothing is worked out',
  )
})
