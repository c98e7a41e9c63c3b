import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTls } from 'node:https'
import { type AddressInfo, createServer as createTcp } from 'node:net'
import t, { type Test } from 'tap'
import { selfSigned } from '../embedded/event-store/tls/certificate.ts'
import { EgressFailure, type EgressRequest, sendGuarded } from './client.ts'
import { egressPolicy } from './policy.ts'

const loopback = egressPolicy(['127.0.0.1', 'localhost'])
const request = (url: string, more: Partial<EgressRequest> = {}): EgressRequest => ({
  ...{ method: 'GET', url, headers: {}, followRedirects: 0, maxBytes: 1_000, connectMs: 2_000 },
  signal: AbortSignal.timeout(10_000),
  ...more,
})

t.test('what is sent is what was asked for and no more', async t => {
  const seen: IncomingMessage[] = []
  const { port } = await serve(t, (asked, response) => {
    seen.push(asked)
    response.end('ok')
  })
  const answer = await sendGuarded(loopback, request(`http://localhost:${port}/a?b=c`, { headers: { 'X-A': '1' } }))
  t.match(answer, { status: 200, url: `http://localhost:${port}/a?b=c` })
  t.equal(answer.body.toString(), 'ok')
  t.match(seen[0], { url: '/a?b=c', headers: { host: `localhost:${port}`, 'x-a': '1', 'accept-encoding': 'identity' } })
  for (const name of ['Host', 'content-length', 'Transfer-Encoding', 'connection', 'Proxy-Authorization']) {
    await fails(t, `http://localhost:${port}/`, 'policy-denied', { headers: { [name]: 'x' } })
  }
  await fails(t, `http://localhost:${port}/`, 'policy-denied', { headers: { 'x-a': 'b\r\nhost: evil' } })
  t.equal(seen.length, 1)
})

t.test('an address that is not allowed is never connected to', async t => {
  let connections = 0
  const server = createTcp(() => (connections += 1)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo // a TCP server's, once it listens
  for (const host of ['127.0.0.1', 'localhost', '0x7f.1', '2130706433', '[::ffff:127.0.0.1]', '0', '127.1']) {
    await fails(t, `http://${host}:${port}/`, 'policy-denied', {}, egressPolicy([]))
  }
  for (const url of ['file:///etc/passwd', 'ftp://localhost/', 'nonsense', `http://user:pass@localhost:${port}/`]) {
    await fails(t, url, 'policy-denied')
  }
  t.equal(connections, 0)
})

t.test('redirects', async t => {
  const seen: Array<{ method: string; url: string; headers: IncomingMessage['headers']; at: number }> = []
  const told = (at: number) => (asked: IncomingMessage, response: ServerResponse) => {
    seen.push({ method: asked.method ?? '', url: asked.url ?? '', headers: asked.headers, at })
    const [, status, to] = /^\/(\d+)\?(.*)$/.exec(asked.url ?? '') ?? []
    if (status && to) response.writeHead(Number(status), { location: decodeURIComponent(to) })
    response.end('end')
  }
  const [first, second] = [await serve(t, told(1)), await serve(t, told(2))]
  const from = (status: number, to: string) => `http://127.0.0.1:${first.port}/${status}?${encodeURIComponent(to)}`
  const secret = { Authorization: 'Bearer x', 'X-Api-Key': 'y', Accept: 'text/plain' }

  const stays = await sendGuarded(loopback, request(from(302, '/end'), { headers: secret, followRedirects: 1 }))
  t.equal(stays.url, `http://127.0.0.1:${first.port}/end`)
  t.match(seen.at(-1)?.headers, { authorization: 'Bearer x', 'x-api-key': 'y' })
  const elsewhere = from(307, `http://127.0.0.1:${second.port}/end`)
  await sendGuarded(loopback, request(elsewhere, { method: 'PUT', body: 'b', headers: secret, followRedirects: 1 }))
  t.match(seen.at(-1), { method: 'PUT', at: 2, headers: { accept: 'text/plain', 'content-length': '1' } })
  t.notOk(seen.at(-1)?.headers.authorization ?? seen.at(-1)?.headers['x-api-key'], 'no credential goes elsewhere')
  await sendGuarded(loopback, request(from(303, '/end'), { method: 'POST', body: 'b', followRedirects: 1 }))
  t.match(seen.at(-1), { method: 'GET' })

  await fails(t, from(302, 'http://10.0.0.1/'), 'policy-denied', { followRedirects: 1 })
  await fails(t, from(302, 'file:///etc/passwd'), 'policy-denied', { followRedirects: 1 })
  await fails(t, from(302, from(302, '/end')), 'unexpected-answer', { followRedirects: 1 })
  t.equal((await sendGuarded(loopback, request(from(302, '/end')))).status, 302, 'not followed unless it is asked for')
})

t.test('answers that do not come or do not end', async t => {
  const { port } = await serve(t, (asked, response) => {
    if (asked.url === '/large') response.end('x'.repeat(1_001))
    if (asked.url === '/cut') response.write('x', () => asked.socket.destroy())
  })
  await fails(t, `http://127.0.0.1:${port}/large`, 'unexpected-answer')
  await fails(t, `http://127.0.0.1:${port}/cut`, 'unreachable')
  await fails(t, `http://127.0.0.1:${port}/silent`, 'stopped', { signal: AbortSignal.timeout(100) })
  await fails(t, 'http://no-such-host.invalid/', 'dns')
  const silent = createTcp().listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  const url = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`
  await fails(t, url, 'unreachable', { connectMs: 100 })
})

t.test('the name in the URL is what the certificate must be for', async t => {
  const { key, certificate } = selfSigned('localhost', new Date())
  const server = createTls({ key, cert: certificate }, (_asked, response) => response.end('ok')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const failure = await fails(t, `https://localhost:${port}/`, 'unreachable')
  t.match(failure.message, /SELF_SIGNED|UNABLE_TO_VERIFY/)
})

async function fails(t: Test, url: string, code: string, more: Partial<EgressRequest> = {}, policy = loopback) {
  const failure = await sendGuarded(policy, request(url, more)).then(
    () => undefined,
    error => error,
  )
  t.ok(failure instanceof EgressFailure, url)
  t.equal(failure?.class, code, url)
  return failure as EgressFailure // just checked
}

async function serve(t: Test, handler: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port }
}
