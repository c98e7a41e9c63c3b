import { get as httpGet } from 'node:http'
import pino from 'pino'
import t from 'tap'
import { createAccessFeed } from '../../command-api/access/feed.ts'
import { createRevocations } from '../../command-api/access/revocations.ts'
import { createSignInFeed } from '../../command-api/auth/feed.ts'
import { type AccessState, createAccessState, holderOf, judge } from '../../infra/access.ts'
import { connectBus } from '../../infra/bus.ts'
import { systemClock } from '../../infra/clock.ts'
import { connectEventStore } from '../../infra/event-store/client.ts'
import { systemIds } from '../../infra/ids.ts'
import { brokerUsers } from '../../infra/nats-permissions.ts'
import { createPool } from '../../infra/postgres.ts'
import type { PrincipalRef } from '../../schemas/access.ts'
import { type AnyEvent, type Recorded, streams } from '../../schemas/events.ts'
import type { Revocation } from '../../schemas/revocation.ts'
import { startBroker } from '../../test/support/broker.ts'
import { startEventStore } from '../../test/support/event-store.ts'
import { until } from '../../test/support/process.ts'
import { serveQueries } from '../../test/support/query-api.ts'
import { freshReadModel } from '../../test/support/read-model.ts'
import { resourcesIn } from '../../test/support/resources.ts'
import { Reader } from '../reader.ts'
import { createAhead, createRevoked } from './revoked.ts'
import { createSignInView } from './sign-in-view.ts'

const log = pino({ level: 'silent' })
// With the rights that the APIs have on a real broker.
const users = brokerUsers([], user => `password of ${user}`)
const [node, broker, model] = await Promise.all([startEventStore(t), startBroker(t, { users }), freshReadModel(t)])
const store = connectEventStore(node.connectionString)
const made = resourcesIn(store)

const write = async (stream: string, ...events: AnyEvent[]) => {
  const { revision } = await store.read(stream)
  const stored = events.map(event => ({ ...event, id: systemIds.next(), metadata: made.meta() }))
  await store.append(stream, stored as never, revision)
}
async function granted(principal: PrincipalRef) {
  const grantId = systemIds.next()
  const data = { grantId, principal, role: 'auditor', scope: { kind: 'everything' }, reason: 'spec' } as const
  await write(streams.grant(grantId), { type: 'RoleGranted', data })
  return grantId
}
const person = () => ({ kind: 'user', id: systemIds.next() }) as const
const [ann, bob, cyd, dan, eve] = [person(), person(), person(), person(), person()]
const grantId = await granted(ann)
const groupId = systemIds.next()
const inGroup = { groupId, member: bob }
await write(
  streams.group(groupId),
  { type: 'GroupCreated', data: { groupId, name: 'team' } },
  { type: 'GroupMemberAdded', data: inGroup },
)
await granted({ kind: 'group', id: groupId })
await granted(cyd)
await granted(dan)
await granted(eve)
// The read models come this far, and from here on stand still.
const all: Recorded[] = []
const reading = new AbortController()
for await (const batch of store.follow({
  categories: ['grant', 'group'],
  after: undefined,
  signal: reading.signal,
})) {
  all.push(...batch.events)
  if (batch.caughtUp) break
}
reading.abort()
await model.project(all)

/** The part of a command API that follows the log and tells what has ended. */
async function teller() {
  const bus = await connectBus({ url: broker.urlFor('api'), name: 'command-api', log })
  const isLive = (): boolean => access.live && signIn.live
  const revocations = createRevocations({ bus, log, isLive })
  const access = createAccessFeed({ store, log, seen: revocations.note })
  const signIn = createSignInFeed({ store, log, seen: revocations.note })
  await until('the log was read', isLive)
  return async () => {
    revocations.stop()
    await Promise.all([access.stop(), signIn.stop(), bus.close()])
  }
}
let stopTelling = await teller()
t.teardown(async () => {
  await stopTelling()
  await store.close()
})

const asUser = (id: string, { access }: { access: { state: AccessState } }) =>
  holderOf({ state: () => access.state, who: { kind: 'user', id }, actor: { kind: 'user', id }, clock: systemClock })
const served = await serveQueries(t, model.url, (id, access) => asUser(id, { access }), broker)
await until('the read models were read', () => served.access.live)
const status = async ({ id }: { id: string }) =>
  (await served.http.inject({ url: '/v1/jobs', headers: { authorization: `Bearer ${id}` } })).statusCode

/** Resolves once the stream is open; `end` when it was closed. */
async function follow({ id }: { id: string }): Promise<{ end: Promise<string> }> {
  return await new Promise((opened, failed) => {
    const headers = { authorization: `Bearer ${id}` }
    const request = httpGet(`${served.url}/v1/events`, { headers, agent: false }, response => {
      let said = ''
      response.setEncoding('utf8').on('data', text => {
        said += text
      })
      opened({ end: new Promise(resolve => response.on('close', () => resolve(said))) })
    })
    request.on('error', failed)
  })
}

t.test('7: what is taken back counts within a second although no projection runs', async t => {
  for (const who of [ann, bob, cyd]) t.equal(await status(who), 200)
  const open = await follow(ann)
  const began = Date.now()
  await write(streams.grant(grantId), { type: 'RoleRevoked', data: { grantId, reason: 'left' } })
  await write(streams.group(groupId), { type: 'GroupMemberRemoved', data: inGroup })
  await write(streams.user(cyd.id), { type: 'UserDeactivated', data: { userId: cyd.id, reason: 'left' } })
  await until('they are turned away', async () => {
    const found = await Promise.all([ann, bob, cyd].map(status))
    return found.every(code => code === 403)
  })
  t.match(await open.end, /event: resume\ndata: \{"why":"access has ended"\}/)
  t.ok(Date.now() - began < 1_000, `${Date.now() - began} ms`)
  t.equal(await status(dan), 200, 'nobody else')
})

t.test('nothing is given by it: who comes back waits for the projections', async t => {
  await write(streams.user(cyd.id), { type: 'UserReactivated', data: { userId: cyd.id } } as AnyEvent)
  await write(streams.user(eve.id), { type: 'UserDeactivated', data: { userId: eve.id, reason: 'left' } })
  await until('the later one is known', async () => (await status(eve)) === 403)
  t.equal(await status(cyd), 403)
})

t.test('sessions too', async t => {
  const bus = await connectBus({ url: broker.urlFor('api'), name: 'query-api', log })
  const pool = createPool(model.url, log, { max: 2 })
  const view = createSignInView({ reader: new Reader(pool, bus), log })
  const revoked = createRevoked({ bus, log, ended: view.end })
  t.teardown(async () => {
    revoked.stop()
    await view.stop()
    await Promise.all([bus.close(), pool.end()])
  })
  const sessionId = systemIds.next()
  const ofDan = { sessionId, userId: dan.id }
  await write(streams.session(sessionId), { type: 'LoggedOut', data: ofDan })
  const changed = { userId: dan.id } as never
  await write(streams.user(dan.id), { type: 'MfaFactorRemoved', data: changed })
  await until('both are over', () => view.facts.endedSessions.has(sessionId) && view.facts.sessionsFrom.has(dan.id))
  t.equal(await status(dan), 200, 'what he may do is another matter')
})

t.test('who was not there asks, and so does who was cut off', async t => {
  await stopTelling()
  await write(streams.user(dan.id), { type: 'UserDeactivated', data: { userId: dan.id, reason: 'left' } })
  t.equal(await status(dan), 200, 'nobody has told')
  stopTelling = await teller()
  const late = await serveQueries(t, model.url, (id, access) => asUser(id, { access }), broker)
  const headers = { authorization: `Bearer ${dan.id}` }
  const code = async () => (await late.http.inject({ url: '/v1/jobs', headers })).statusCode
  await until('one that has just begun knows', async () => late.access.live && (await code()) === 403)
  await broker.restart()
  await until('so does one that was cut off', async () => (await status(dan)) === 403)
  t.pass()
})

t.test('what cannot be kept lets nobody in, until the read models have come to it', async t => {
  let warned = 0
  const ahead = createAhead(() => {
    warned += 1
  })
  const state = createAccessState()
  const who = { kind: 'service-account', id: systemIds.next() } as const
  const allowed = () => judge(ahead.less(state), who, 'job:read', undefined, 0).allowed
  const put = (id: string, revision: bigint) => state.revisions.set(`user-${id}`, revision)
  const given = { grantId: systemIds.next(), principal: who, role: 'viewer', scope: { kind: 'everything' } } as const
  const row = { ...given, name: 'viewer', expiresAt: null, reason: 'spec', status: 'active' as const }
  state.rows.grant.set(given.grantId, row)
  state.grantsOf.set(`service-account:${who.id}`, new Set([given.grantId]))
  const ids = Array.from({ length: 10_002 }, () => systemIds.next())
  const over = (id: string): Revocation => ({
    ...{ stream: `user-${id}`, revision: '1', at: systemClock.now() },
    over: { kind: 'principal', principal: { kind: 'user', id } },
  })
  for (const id of ids.slice(0, 10_000)) ahead.add(over(id))
  t.equal(allowed(), true)
  for (const id of ids.slice(10_000)) ahead.add(over(id))
  t.equal(warned, 1)
  t.equal(allowed(), false)
  for (const id of ids.slice(0, -1)) put(id, 1n)
  t.equal(allowed(), false)
  put(ids.at(-1) ?? '', 1n)
  state.version += 1
  t.equal(allowed(), true)
  t.equal(ahead.less(state), state, 'and nothing is kept')
})
