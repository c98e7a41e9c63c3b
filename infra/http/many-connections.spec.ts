import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { pino } from 'pino'
import t from 'tap'
import { madeHolder } from '../../test/support/holder.ts'
import { until } from '../../test/support/process.ts'
import { defaultEdge } from './edge-options.ts'
import { createHttpServer } from './index.ts'

/** What an ordinary user may have open is asked of the system: both ends of each connection are in this process. */
const allowed = Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1_024)
const MANY = Math.min(3_000, Math.floor((allowed - 200) / 2))
const BATCH = 200
/** Room for others under the limit of one address. */
const OF_ONE = defaultEdge.maxConnectionsPerAddress - 10

t.test(
  'abuse 48: thousands who say nothing or never end are held in little memory, and nobody waits for them',
  async t => {
    const timeouts = { headersMs: 2_000, requestMs: 4_000, stillMs: 4_000 }
    const log = pino({ level: 'silent' })
    const http = await createHttpServer({ log, authenticate: key => madeHolder(key), ready: () => [], timeouts })
    t.teardown(() => http.close())
    http.get('/v1/things', { config: { permission: 'thing:read' } }, async () => ['thing'])
    await http.listen({ port: 0, host: '127.0.0.1' })
    const { port } = http.server.address() as AddressInfo // listens on TCP
    const ask = async () => {
      const began = performance.now()
      const answer = await fetch(`http://127.0.0.1:${port}/v1/things`, { headers: { authorization: 'Bearer ann' } })
      t.same(await answer.json(), ['thing'])
      return performance.now() - began
    }
    await ask()
    const before = process.memoryUsage().rss
    const sockets: Socket[] = []
    t.teardown(() => {
      for (const socket of sockets) socket.destroy()
    })
    const open = async (n: number) => {
      // Everything in 127.0.0.0/8 is this machine.
      const localAddress = `127.0.0.${2 + Math.floor(n / OF_ONE)}`
      const socket = connect({ host: '127.0.0.1', port, localAddress }).on('error', () => undefined)
      sockets.push(socket)
      await once(socket, 'connect')
      if (n % 2) socket.write('GET /v1/things HTTP/1.1\r\nHost: a\r\nX-Slow: ')
    }
    for (let from = 0; from < MANY; from += BATCH)
      await Promise.all(Array.from({ length: Math.min(BATCH, MANY - from) }, (_, i) => open(from + i)))
    const held = sockets.filter(({ readyState }) => readyState === 'open').length
    const took = await ask()
    const grown = process.memoryUsage().rss - before
    t.ok(held > MANY / 2, `${held} of ${MANY} are open`)
    t.ok(took < 1_000, `${Math.round(took)} ms beside them`)
    t.ok(grown < 300e6, `${Math.round(grown / 1e6)} MB for both ends`)
    await Promise.all(sockets.map(socket => socket.closed || once(socket.resume(), 'close')))
    const left = promisify(http.server.getConnections.bind(http.server))
    await until('all of them are let go', async () => Number(await left()) <= 1)
    t.ok((await ask()) < 1_000)
  },
)
