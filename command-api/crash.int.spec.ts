import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createApiKey } from '../infra/api-keys.ts'
import { systemClock } from '../infra/clock.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { startBroker } from '../test/support/broker.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { type StartedRole, startRole } from '../test/support/role.ts'
import type { Answer } from './dispatch.ts'

const AT_ONCE = 30
const ROUNDS = 3

const dir = mkdtempSync(join(tmpdir(), 'opsc-crash-'))
t.teardown(() => rmSync(dir, { recursive: true, force: true }))
const [node, broker] = await Promise.all([startEventStore(t), startBroker(t)])
const keys = join(dir, 'api-keys.json')
const apiKey = createApiKey(keys, 'spec', { now: systemClock.now() })
const start = () =>
  startRole(t, 'command-api', {
    OPSCONDUCTOR_DATA_DIR: join(dir, 'data'),
    OPSCONDUCTOR_PORT: '0',
    OPSCONDUCTOR_LOG_LEVEL: 'silent',
    OPSCONDUCTOR_API_KEYS_FILE: keys,
    OPSCONDUCTOR_EVENTSTORE_URL: node.connectionString,
    OPSCONDUCTOR_NATS_URL: broker.url,
    // Only for files, which nobody sends here.
    OPSCONDUCTOR_POSTGRES_URL: 'postgres://nobody@127.0.0.1:1/nothing',
  })
const store = connectEventStore(node.connectionString)
t.teardown(() => store.close())

/** Creates the target of this name; undefined when the connection broke before an answer. */
async function create(api: StartedRole, name: string): Promise<Answer | undefined> {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', 'idempotency-key': name }
  const body = JSON.stringify({ name, address: '192.0.2.1' })
  try {
    const answer = await fetch(`${api.endpoints.url}/v1/commands/create-target`, { method: 'POST', headers, body })
    const text = await answer.text()
    if (answer.status !== 201) throw new Error(`${answer.status}: ${text}`)
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof TypeError) return undefined
    throw error
  }
}

/** How many targets of each name the whole log holds. */
async function registered(): Promise<Map<string, number>> {
  const count = new Map<string, number>()
  const stop = new AbortController()
  for await (const { events, caughtUp } of store.follow({
    categories: ['target'],
    after: undefined,
    signal: stop.signal,
  })) {
    for (const { type, data } of events)
      if (type === 'TargetRegistered') count.set(data.name, (count.get(data.name) ?? 0) + 1)
    if (caughtUp) stop.abort()
  }
  return count
}

t.test('whatever kill -9 cuts off, the same key leads to one target and one answer', async t => {
  let cut = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    const names = Array.from({ length: AT_ONCE }, (_, i) => `round-${round}-${i}`)
    const api = await start()
    let killed: Promise<void> | undefined
    const first = await Promise.all(
      names.map(async name => {
        const answer = await create(api, name)
        // The first answer is the sign that the others are on their way.
        killed ??= api.kill9()
        return answer
      }),
    )
    await killed
    cut += first.filter(answer => answer === undefined).length
    const again = await start()
    for (const [i, name] of names.entries()) {
      const answer = await create(again, name)
      t.ok(answer, name)
      if (first[i]) t.same(answer, first[i], 'acknowledged is acknowledged')
    }
    await again.kill9()
    const counts = await registered()
    t.same(
      names.filter(name => counts.get(name) !== 1),
      [],
      'each once',
    )
  }
  t.ok(cut > 0, 'something was cut off')
})
