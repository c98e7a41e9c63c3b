import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcp } from 'node:net'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { type EgressFailure, type EgressRequest, guardedFetch, sendGuarded } from '../egress.ts'
import { egressPolicy } from './policy.ts'
import type { Address, Resolver } from './resolver.ts'

const strict = egressPolicy([])
const request = (url: string, more: Partial<EgressRequest> = {}): EgressRequest => ({
  ...{ method: 'GET', url, headers: {}, followRedirects: 0, maxBytes: 10_000, connectMs: 2_000 },
  signal: AbortSignal.timeout(10_000),
  ...more,
})
const failureOf = (sent: Promise<unknown>): Promise<EgressFailure> =>
  sent.then(
    () => Promise.reject(new Error('it was sent')),
    error => error,
  )
const v4 = (address: string): Address => ({ address, family: 4 })

async function listen(t: Test, address: string, port: number, handler: RequestListener) {
  const server = createServer(handler).listen(port, address)
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port // listens on TCP
}

/** Somewhere nobody may get to: counts who does. */
async function canary(t: Test) {
  const seen = { connections: 0, port: 0 }
  const server = createTcp(socket => {
    seen.connections += 1
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  seen.port = (server.address() as AddressInfo).port
  return seen
}

t.test('an inner address is refused however its URL is written', async t => {
  const hit = await canary(t)
  const inner = [
    ...[
      '127.0.0.1',
      '127.1',
      '127.0.1',
      '0x7f.1',
      '0x7f000001',
      '0177.0.0.1',
      '017700000001',
      '2130706433',
      '0',
      '0.0.0.0',
    ],
    ...[
      '127.0.0.1.',
      '[::1]',
      '[::]',
      '[::ffff:7f00:1]',
      '[::ffff:127.0.0.1]',
      '[0:0:0:0:0:ffff:7f00:0001]',
      '[::7f00:1]',
    ],
    ...['[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[fd00::1]', '[fe80::1]', '[fec0::1]', '[ff02::1]', '[fd00:ec2::254]'],
    ...['169.254.169.254', '169.254.169.254.', '2852039166', '0xa9fea9fe', '0251.0376.0251.0376', '[::ffff:a9fe:a9fe]'],
    ...['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.0.1', '100.64.0.1', '100.127.255.255', '192.0.0.1'],
    ...['198.18.0.1', '224.0.0.1', '255.255.255.255', '240.0.0.1', '１２７.0.0.1', '127。0。0。1', '①②⑦.⓪.⓪.①'],
    ...['%31%32%37.0.0.1', '127.0.0.1%2e', '1.1.1.1@127.0.0.1', 'user:pass@127.0.0.1', 'example.org:80@127.0.0.1'],
  ]
  for (const host of inner) {
    const failure = await failureOf(sendGuarded(strict, request(`http://${host}:${hit.port}/`)))
    t.equal(failure.class, 'policy-denied', host)
  }
  const odd = [
    'http:\\\\127.0.0.1',
    'http:/127.0.0.1',
    'http:127.0.0.1',
    '//127.0.0.1',
    'ht\ntp://127.0.0.1',
    ' http://127.0.0.1',
  ]
  for (const start of odd) {
    const failure = await failureOf(sendGuarded(strict, request(`${start}:${hit.port}/`)))
    t.equal(failure.class, 'policy-denied', start)
  }
  for (const scheme of [
    'file',
    'ftp',
    'gopher',
    'dict',
    'ldap',
    'data',
    'javascript',
    'unix',
    'ws',
    'jar:http',
    'blob:http',
  ]) {
    const failure = await failureOf(sendGuarded(strict, request(`${scheme}://127.0.0.1:${hit.port}/`)))
    t.equal(failure.class, 'policy-denied', scheme)
  }
  t.equal(hit.connections, 0)
})

t.test('a name that leads inside is refused, also when only one of its addresses does', async t => {
  const hit = await canary(t)
  const names: Record<string, Address[]> = {
    '127.0.0.1.nip.example': [v4('127.0.0.1')],
    '7f000001.rbndr.example': [v4('127.0.0.1')],
    'metadata.example': [v4('169.254.169.254')],
    'both.example': [v4('93.184.215.14'), v4('127.0.0.1')],
    'six.example': [{ address: '::ffff:127.0.0.1', family: 6 }],
    'zone.example': [{ address: 'fe80::1%lo', family: 6 }],
    'nonsense.example': [v4('127.1')],
  }
  const resolver: Resolver = async host => names[host] ?? []
  for (const host of Object.keys(names)) {
    const failure = await failureOf(sendGuarded(strict, request(`http://${host}:${hit.port}/`), resolver))
    t.equal(failure.class, 'policy-denied', host)
  }
  t.equal((await failureOf(sendGuarded(strict, request('http://none.example/'), resolver))).class, 'dns')
  t.equal(hit.connections, 0)
})

t.test('a name that is something else the second time is asked for once', async t => {
  const hit = await canary(t)
  await listen(t, '127.0.0.2', hit.port, (asked, response) => {
    if (asked.url === '/again') response.writeHead(302, { location: '/' })
    response.end('vetted')
  })
  const policy = egressPolicy(['127.0.0.2'])
  const rebinding = () => {
    const asked: string[] = []
    const resolver: Resolver = async host => {
      asked.push(host)
      return [v4(asked.length === 1 ? '127.0.0.2' : '127.0.0.1')]
    }
    return { asked, resolver }
  }
  const once = rebinding()
  const answer = await sendGuarded(policy, request(`http://rebind.example:${hit.port}/`), once.resolver)
  t.equal(answer.body.toString(), 'vetted')
  t.same(once.asked, ['rebind.example'])
  const redirected = rebinding()
  const again = request(`http://rebind.example:${hit.port}/again`, { followRedirects: 5 })
  const failure = await failureOf(sendGuarded(policy, again, redirected.resolver))
  t.match(failure, { class: 'policy-denied', message: /127\.0\.0\.1/ }, 'each hop is vetted anew')
  t.equal(hit.connections, 0)
})

t.test('a chain of redirects ends, and takes no credential along', async t => {
  let hops = 0
  const seen: Array<string | undefined> = []
  const port: number = await listen(t, '127.0.0.1', 0, (asked, response) => {
    hops += 1
    seen.push(asked.headers.authorization)
    const other = asked.headers.host?.startsWith('a.') ? 'b' : 'a'
    response.writeHead(302, { location: `http://${other}.example:${port}/${hops}` }).end()
  })
  const policy = egressPolicy(['127.0.0.1'])
  const resolver: Resolver = async () => [v4('127.0.0.1')]
  const sent = request(`http://a.example:${port}/`, { followRedirects: 20, headers: { Authorization: 'Bearer x' } })
  const failure = await failureOf(sendGuarded(policy, sent, resolver))
  t.match(failure, { class: 'unexpected-answer', message: 'too many redirects' })
  t.equal(hops, 21)
  t.same(new Set(seen.slice(1)), new Set([undefined]), 'not even back to where it came from')
})

t.test('an answer is bounded in size and time, is never unpacked, and is not repeated in an error', async t => {
  const bomb = gzipSync(Buffer.alloc(5_000_000))
  const port = await listen(t, '127.0.0.1', 0, (asked, response) => {
    if (asked.url === '/bomb') response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb)
    else if (asked.url === '/drip') {
      const drip = setInterval(() => response.write('hunter2'), 20)
      response.on('close', () => clearInterval(drip))
    } else response.end('hunter2'.repeat(10_000))
  })
  const policy = egressPolicy(['127.0.0.1'])
  const at = (path: string) => `http://127.0.0.1:${port}${path}`
  const packed = await sendGuarded(policy, request(at('/bomb')))
  t.equal(packed.body.length, bomb.length)
  const long = await failureOf(sendGuarded(policy, request(at('/long'))))
  const slow = await failureOf(sendGuarded(policy, request(at('/drip'), { signal: AbortSignal.timeout(200) })))
  t.same([long.class, slow.class], ['unexpected-answer', 'stopped'])
  t.notMatch(`${long.stack}${slow.stack}`, /hunter2/)
})

t.test('a library that brings its own HTTP is held to the same', async t => {
  const port = await listen(t, '127.0.0.1', 0, async (asked, response) => {
    let body = ''
    for await (const chunk of asked) body += chunk
    if (asked.url === '/empty') response.writeHead(204).end()
    else response.writeHead(302, { location: '/x', 'set-cookie': ['a=1', 'b=2'] }).end(`${asked.method} ${body}`)
  })
  const fetch = guardedFetch(egressPolicy(['127.0.0.1']), { timeoutMs: 2_000, maxBytes: 1_000 })
  const body = new URLSearchParams({ grant: 'code' })
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body })
  t.same([answer.status, await answer.text()], [302, 'POST grant=code'])
  t.same(answer.headers.getSetCookie(), ['a=1', 'b=2'])
  t.equal((await fetch(`http://127.0.0.1:${port}/empty`)).status, 204)
  await t.rejects(fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: new Uint8Array(2) }), TypeError)
  const closed = guardedFetch(strict, { timeoutMs: 2_000, maxBytes: 1_000 })
  t.equal((await failureOf(closed(`http://127.0.0.1:${port}/`))).class, 'policy-denied')
  const { signal } = new AbortController()
  t.equal((await fetch(`http://127.0.0.1:${port}/empty`, { signal })).status, 204)
})
