import { pino } from 'pino'
import t from 'tap'
import { createApiKey } from '../infra/api-keys.ts'
import { connectBus } from '../infra/bus.ts'
import { systemClock } from '../infra/clock.ts'
import { loadConfig } from '../infra/config.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { createHttpServer } from '../infra/http/index.ts'
import { runStages } from '../infra/lifecycle.ts'
import { brokerUsers } from '../infra/nats-permissions.ts'
import { refusalsByBus } from '../query-api/request-refusals.ts'
import { subjects } from '../schemas/bus.ts'
import type { Recorded } from '../schemas/events.ts'
import { startBroker } from '../test/support/broker.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { until } from '../test/support/process.ts'
import { start } from './main.ts'

const log = pino({ level: 'silent' })
const users = brokerUsers([{ executorId: 'east-1' }], user => `of ${user}`)
const [node, broker] = await Promise.all([startEventStore(t), startBroker(t, { users })])
const config = loadConfig({
  OPSCONDUCTOR_DATA_DIR: t.testdir(),
  OPSCONDUCTOR_PORT: '0',
  OPSCONDUCTOR_EVENTSTORE_URL: node.connectionString,
  OPSCONDUCTOR_NATS_URL: broker.urlFor('api'),
  OPSCONDUCTOR_POSTGRES_URL: 'postgres://nobody@127.0.0.1:1/nothing',
  OPSCONDUCTOR_TRUSTED_PROXIES: '127.0.0.1',
})
const apiKey = createApiKey(config.apiKeysFile, 'spec', { now: systemClock.now() })
const role = await start(config, log)
const store = connectEventStore(node.connectionString)
t.teardown(() => store.close())

async function told(): Promise<Recorded[]> {
  const found: Recorded[] = []
  const stop = new AbortController()
  const options = { categories: ['refusal', 'command'] as const, after: undefined, signal: stop.signal }
  for await (const { events, caughtUp } of store.follow(options)) {
    found.push(...events)
    if (caughtUp) stop.abort()
  }
  return found
}

t.test('a request without a valid key is history, with where it came from', async t => {
  const headers = { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.9' }
  const url = `${String(role.endpoints?.url)}/v1/commands/create-target`
  t.equal((await fetch(url, { method: 'POST', headers, body: '{}' })).status, 401)
  const own = { ...headers, authorization: `Bearer ${apiKey}` }
  t.equal((await fetch(url, { method: 'POST', headers: own, body: '{"nonsense":1}' })).status, 400)
  await until('both are told', async () => (await told()).length >= 2)
  t.match(await told(), [
    {
      type: 'RequestRefused',
      data: { status: 401, code: 'unauthenticated', route: '/v1/commands/create-target', method: 'POST' },
      metadata: { actor: { kind: 'anonymous' }, origin: { ip: '203.0.113.9' } },
    },
    { data: { status: 400, code: 'invalid-input' }, metadata: { actor: { kind: 'api-key' } } },
  ])
})

t.test('a line of many that is no command is history too', async t => {
  const before = (await told()).length
  const headers = { 'content-type': 'application/x-ndjson', authorization: `Bearer ${apiKey}` }
  const good = JSON.stringify({ command: 'create-target', data: { name: 'web-1', address: '192.0.2.1' } })
  const body = `{"command"\n${good}\n{"command":"create-target","data":{"port":"x"}}\n`
  const answer = await fetch(`${String(role.endpoints?.url)}/v1/commands`, { method: 'POST', headers, body })
  t.equal((await answer.text()).split('\n').length, 4)
  await until('both are told', async () => (await told()).length >= before + 2)
  t.match(
    (await told()).slice(before).map(({ data }) => data),
    [
      { code: 'invalid-json', route: '/v1/commands' },
      { code: 'invalid-input', route: '/v1/commands' },
    ],
  )
})

t.test('the query side, which has no event store, has its refusals recorded by the command side', async t => {
  const bus = await connectBus({ url: broker.urlFor('api'), name: 'query-api', log })
  t.teardown(() => bus.close())
  const refusals = refusalsByBus(bus, log)
  const http = await createHttpServer({ log, authenticate: () => undefined, ready: () => [], refused: refusals.record })
  t.teardown(() => http.close())
  http.get('/v1/runs', { config: { permission: 'run:read' } }, async () => [])
  const before = (await told()).length
  for (let n = 0; n < 35; n += 1) t.equal((await http.inject('/v1/runs')).statusCode, 401)
  await refusals.flush()
  const now = (await told()).slice(before)
  t.equal(now.length, 31)
  t.match(now[0], { type: 'RequestRefused', data: { route: '/v1/runs' }, metadata: { origin: { ip: '127.0.0.1' } } })
  t.match(now.at(-1), { type: 'RequestRefusalsCounted', data: { count: 5, codes: { unauthenticated: 5 } } })

  const executor = await connectBus({ url: broker.urlFor('east-1'), name: 'executor', log })
  t.teardown(() => executor.close())
  await t.rejects(executor.request(subjects.refused, '{}', { timeoutMs: 2_000 }), 'nobody else may fill the log')
})

t.test('it stops in order', async t => t.ok(await runStages(role.stop, log)))
