import { mkdtempSync, rmSync } from 'node:fs'
import { get as httpGet } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { start as startCommandApi } from '../../command-api/main.ts'
import { createApiKey } from '../../infra/api-keys.ts'
import { systemClock } from '../../infra/clock.ts'
import { loadConfig } from '../../infra/config.ts'
import { connectEventStore } from '../../infra/event-store/client.ts'
import { type RunningRole, runStages } from '../../infra/lifecycle.ts'
import { brokerUsers } from '../../infra/nats-permissions.ts'
import { start as startQueryApi } from '../../query-api/main.ts'
import type { Recorded } from '../../schemas/events.ts'
import { startBroker } from '../support/broker.ts'
import { startEventStore } from '../support/event-store.ts'
import { until } from '../support/process.ts'
import { freshReadModel } from '../support/read-model.ts'

const log = pino({ level: 'silent' })
const dir = mkdtempSync(join(tmpdir(), 'opsc-revocation-'))
t.teardown(() => rmSync(dir, { recursive: true, force: true }))
const users = brokerUsers([], user => `password of ${user}`)
const [node, broker, model] = await Promise.all([startEventStore(t), startBroker(t, { users }), freshReadModel(t)])
const config = loadConfig({
  OPSCONDUCTOR_DATA_DIR: join(dir, 'data'),
  OPSCONDUCTOR_PORT: '0',
  OPSCONDUCTOR_EVENTSTORE_URL: node.connectionString,
  OPSCONDUCTOR_NATS_URL: broker.urlFor('api'),
  OPSCONDUCTOR_POSTGRES_URL: model.url,
})
const root = createApiKey(config.apiKeysFile, 'spec', { now: systemClock.now() })
/** Each as a role of its own, and no projector anywhere. */
const commands = await startCommandApi(config, log)
const queries = await startQueryApi(config, log)
const urlOf = ({ endpoints }: RunningRole) => String(endpoints?.url)
const store = connectEventStore(node.connectionString)
t.teardown(async () => {
  await Promise.all([commands, queries].map(role => runStages(role.stop, log)))
  await store.close()
})
await until('both are ready', async () =>
  (await Promise.all([commands, queries].map(role => fetch(`${urlOf(role)}/health/ready`)))).every(({ ok }) => ok),
)

type Answer = { stream: string; apiKey?: string }
async function send(name: string, data: object): Promise<Answer> {
  const headers = { authorization: `Bearer ${root}`, 'content-type': 'application/json' }
  const url = `${urlOf(commands)}/v1/commands/${name}`
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(data) })
  if (!answer.ok) throw new Error(`${name}: ${await answer.text()}`)
  return (await answer.json()) as Answer
}
const idIn = ({ stream }: Answer) => stream.slice(stream.indexOf('-') + 1)

/** A program with a key that may read everything. */
async function program(name: string) {
  const serviceAccountId = idIn(await send('create-service-account', { name }))
  const owner = { kind: 'service-account', id: serviceAccountId }
  const given = { principal: owner, role: 'auditor', scope: { kind: 'everything' }, reason: 'spec' }
  const grantId = idIn(await send('grant-role', given))
  const issued = await send('issue-api-key', { name, owner, expiresSeconds: 3_600 })
  return { serviceAccountId, grantId, keyId: idIn(issued), key: issued.apiKey ?? '' }
}
const all = [await program('one'), await program('two'), await program('three'), await program('four')] as const
const [one, two, three, four] = all

/** The read models come to what there is now, and then stand still. */
const stop = new AbortController()
const events: Recorded[] = []
const categories = ['serviceaccount', 'grant', 'apikey'] as const
for await (const batch of store.follow({ categories, after: undefined, signal: stop.signal })) {
  events.push(...batch.events)
  if (batch.caughtUp) break
}
stop.abort()
await model.project(events)

const status = async (key: string) =>
  (await fetch(`${urlOf(queries)}/v1/jobs`, { headers: { authorization: `Bearer ${key}` } })).status

/** Resolves once the stream is open; `end` when the server has closed it. */
async function follow(key: string): Promise<{ end: Promise<string> }> {
  return await new Promise((opened, failed) => {
    const headers = { authorization: `Bearer ${key}` }
    const request = httpGet(`${urlOf(queries)}/v1/events`, { headers, agent: false }, response => {
      let said = ''
      response.setEncoding('utf8').on('data', text => {
        said += text
      })
      opened({ end: new Promise(resolve => response.on('close', () => resolve(said))) })
    })
    request.on('error', failed)
  })
}

t.test('7: a query API of its own turns away who was stopped, whether or not anything is projected', async t => {
  await until('all may read', async () => (await Promise.all(all.map(({ key }) => status(key)))).every(s => s === 200))
  const ends: Array<[who: { key: string }, name: string, data: object, told: number]> = [
    [one, 'revoke-role', { grantId: one.grantId, reason: 'left' }, 403],
    [two, 'revoke-api-key', { keyId: two.keyId, reason: 'leaked' }, 401],
    [three, 'disable-service-account', { serviceAccountId: three.serviceAccountId, reason: 'old' }, 401],
  ]
  for (const [who, name, data, told] of ends) {
    const open = await follow(who.key)
    const began = Date.now()
    await send(name, data)
    await until('they are turned away', async () => (await status(who.key)) === told)
    t.match(await open.end, /event: resume\ndata: \{"why":"access has ended"\}/, name)
    t.ok(Date.now() - began < 1_000, `${name}: ${Date.now() - began} ms`)
  }
  t.equal(await status(four.key), 200, 'and nobody else')
})
