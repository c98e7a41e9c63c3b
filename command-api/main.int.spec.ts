import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { createApiKey } from '../infra/api-keys.ts'
import { connectBus, subscribeJson } from '../infra/bus.ts'
import { systemClock } from '../infra/clock.ts'
import { loadConfig } from '../infra/config.ts'
import { hpkeOpen, newHpkeKeyPair, sealInfo } from '../infra/hpke.ts'
import { systemIds } from '../infra/ids.ts'
import { runStages } from '../infra/lifecycle.ts'
import { sealRequest, subjects } from '../schemas/bus.ts'
import { startBroker } from '../test/support/broker.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { until } from '../test/support/process.ts'
import { start } from './main.ts'

const log = pino({ level: 'silent' })
const dir = mkdtempSync(join(tmpdir(), 'opsc-command-api-'))
t.teardown(() => rmSync(dir, { recursive: true, force: true }))
const [node, broker] = await Promise.all([startEventStore(t), startBroker(t)])
const settings = {
  OPSCONDUCTOR_DATA_DIR: join(dir, 'data'),
  OPSCONDUCTOR_PORT: '0',
  OPSCONDUCTOR_EVENTSTORE_URL: node.connectionString,
  OPSCONDUCTOR_NATS_URL: broker.url,
  OPSCONDUCTOR_POSTGRES_URL: 'postgres://nobody@127.0.0.1:1/nothing',
}
const config = loadConfig(settings)
const apiKey = createApiKey(config.apiKeysFile, 'spec', { now: systemClock.now() })
const role = await start(config, log)
const base = String(role.endpoints?.url)

const send = (name: string, data: object, headers: Record<string, string> = {}) =>
  fetch(`${base}/v1/commands/${name}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(data),
  })
const ready = async () => (await fetch(`${base}/health/ready`)).status
const target = { name: 'web-1', address: '192.0.2.1' }
const secret = { kind: 'password', password: 'correct horse battery staple' }
const credential = { name: 'deploy', username: 'deploy', secret }

t.test('the role serves commands, health and its description', async t => {
  await until('it is ready', async () => (await ready()) === 200)
  t.equal((await send('create-target', target)).status, 201)
  t.equal((await send('create-target', target, { authorization: `Bearer ${apiKey.slice(0, -1)}_` })).status, 401)
  t.equal((await fetch(`${base}/v1/openapi.json`)).status, 200)
})

t.test('without Postgres it takes no files, and everything else', async t => {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/octet-stream' }
  const answer = await fetch(`${base}/v1/artifacts`, { method: 'POST', headers, body: 'a file' })
  t.match([answer.status, await answer.json()], [503, { type: 'urn:opsconductor:problem:read-model-unavailable' }])
})

t.test('its port cannot be had twice', async t => {
  const taken = { ...settings, OPSCONDUCTOR_PORT: new URL(base).port }
  await t.rejects(start(loadConfig(taken), log), /port \d+ is taken/)
  const { OPSCONDUCTOR_EVENTSTORE_URL: _, ...without } = settings
  await t.rejects(start(loadConfig(without), log), /OPSCONDUCTOR_EVENTSTORE_URL/)
  const { OPSCONDUCTOR_POSTGRES_URL: __, ...nowhere } = settings
  await t.rejects(start(loadConfig(nowhere), log), /OPSCONDUCTOR_POSTGRES_URL/)
})

t.test('without the vault no credential is made, and the request can be sent again', async t => {
  const key = { 'idempotency-key': 'credential-1' }
  const answer = await send('create-credential', credential, key)
  t.equal(answer.status, 503)
  t.match(await answer.json(), { type: 'urn:opsconductor:problem:vault-unavailable' })

  // A vault that was set up anew: the key it showed first is not the one it opens with.
  const bus = await connectBus({ url: broker.url, name: 'vault', log })
  t.teardown(() => bus.close())
  const [old, now] = [newHpkeKeyPair(), newHpkeKeyPair()]
  const shown = [{ keyId: 'old', publicKey: old.publicKey }]
  const opened: string[] = []
  bus.subscribe(subjects.vaultPublicKey, message =>
    message.reply(JSON.stringify(shown.shift() ?? { keyId: 'now', publicKey: now.publicKey })),
  )
  subscribeJson(bus, subjects.vaultSeal, sealRequest, async request => {
    if (request.keyId !== 'now') return { error: 'unknown-key', detail: 'another key' }
    opened.push(Buffer.from(hpkeOpen(now, sealInfo(request.credentialId, request.version), request)).toString())
    return { sealId: systemIds.next(), kekId: 'kek', fingerprint: 'a'.repeat(64), ciphertextDigest: 'b'.repeat(64) }
  })
  await bus.flush()
  const again = await send('create-credential', credential, key)
  t.equal(again.status, 201, 'a passing failure is not held on to')
  t.same(
    opened.map(text => JSON.parse(text)),
    [secret],
  )
})

t.test('without the event store nothing is accepted, and the same key works later', async t => {
  const key = { 'idempotency-key': 'target-1' }
  await node.kill9()
  const answer = await send('create-target', target, key)
  t.equal(answer.status, 503)
  t.match(await answer.json(), { type: 'urn:opsconductor:problem:event-store-unavailable', detail: /Idempotency-Key/ })
  await until('it says that it is not ready', async () => (await ready()) === 503)
  await node.restart()
  await until('it is ready again', async () => (await ready()) === 200)
  t.equal((await send('create-target', target, key)).status, 201)
})

t.test('it stops in order', async t => {
  t.ok(await runStages(role.stop, log))
  await t.rejects(fetch(`${base}/health/live`))
})
