import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import t from 'tap'
import { systemClock } from '../infra/clock.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { systemIds } from '../infra/ids.ts'
import { type AnyEvent, streams } from '../schemas/events.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { freshReadModel } from '../test/support/read-model.ts'
import { noteExpiries } from './expiry.ts'

const log = pino({ level: 'silent' })

t.test('the end of a credential is told ahead and when it comes, once, whatever the read model still says', async t => {
  const [node, model] = await Promise.all([startEventStore(t), freshReadModel(t)])
  const store = connectEventStore(node.connectionString)
  t.teardown(() => store.close())
  const append = async (stream: string, ...events: AnyEvent[]) => {
    const { revision } = await store.read(stream)
    const metadata = {
      ...{ commandId: randomUUID(), $correlationId: randomUUID(), $causationId: randomUUID() },
      ...{ actor: { kind: 'user' as const, id: 'anna' }, origin: { channel: 'api' as const }, at: systemClock.now() },
    }
    await store.append(
      stream,
      events.map(event => ({ ...event, id: systemIds.next(), metadata })),
      revision,
    )
  }
  const [ends, stays] = [randomUUID(), randomUUID()]
  const expiresAt = '2030-03-01T00:00:00.000Z'
  for (const [credentialId, own] of [
    [ends, { expiresAt }],
    [stays, {}],
  ] as const) {
    const sealed = { sealId: randomUUID(), kekId: 'k', fingerprint: 'a'.repeat(64), ciphertextDigest: 'd'.repeat(64) }
    await append(
      streams.credential(credentialId),
      { type: 'CredentialCreated', data: { credentialId, name: 'spec', username: 'deploy', kind: 'password' } },
      { type: 'CredentialVersionAdded', data: { credentialId, version: 1, kind: 'password', ...sealed, ...own } },
    )
  }
  const eventsOf = async (id: string) => (await store.read(streams.credential(id))).events
  const all = [...(await eventsOf(ends)), ...(await eventsOf(stays))]
  await model.project(all.sort((a, b) => Number(a.position.commit - b.position.commit)))
  const at = (now: string) => noteExpiries({ store, pool: model.pool, log, clock: { ...systemClock, now: () => now } })
  const told = async () =>
    (await eventsOf(ends)).slice(2).map(({ type, data }) => [type, 'daysLeft' in data && data.daysLeft])
  await at('2030-01-01T00:00:00.000Z')
  t.same(await told(), [])
  await at('2030-02-10T00:00:00.000Z')
  await at('2030-02-11T00:00:00.000Z')
  t.same(await told(), [['CredentialExpiryApproached', 30]])
  await at('2030-02-28T12:00:00.000Z')
  t.same((await told()).at(-1), ['CredentialExpiryApproached', 1], 'of warnings that were missed the last one counts')
  await at('2030-03-01T00:00:00.000Z')
  await at('2030-03-02T00:00:00.000Z')
  t.same((await told()).slice(2), [['CredentialExpired', false]])
  t.equal((await eventsOf(stays)).length, 2)
  t.match((await eventsOf(ends)).at(-1), { metadata: { actor: { kind: 'system', id: 'expiry-watch' } } })

  await model.project((await eventsOf(ends)).slice(2))
  const { rows } = await model.pool.query(
    "select state from read_model.resource_version where kind = 'credential' and id = $1 and valid_to is null",
    [ends],
  )
  t.match(rows[0]?.state, { expired: true, expiresAt, rotatedBy: { kind: 'user', id: 'anna' } })
})
