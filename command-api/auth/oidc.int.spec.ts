import { pino } from 'pino'
import t from 'tap'
import { loadConfig } from '../../infra/config.ts'
import { createPool } from '../../infra/postgres.ts'
import { type Recorded, streams } from '../../schemas/events.ts'
import { done } from '../../test/support/commanding.ts'
import { freePort } from '../../test/support/free-port.ts'
import { cliClient, client, openidProvider, type Person, redirectUrl } from '../../test/support/openid.ts'
import { signInBench, until } from '../../test/support/sign-in.ts'
import { createOidcProvider } from './oidc/provider.ts'

const provider = await openidProvider(t)
const settings = {
  OPSCONDUCTOR_OIDC_ISSUER: provider.issuer,
  OPSCONDUCTOR_OIDC_CLIENT_ID: client.id,
  OPSCONDUCTOR_OIDC_CLIENT_SECRET: client.secret,
  OPSCONDUCTOR_OIDC_REDIRECT_URL: redirectUrl,
  OPSCONDUCTOR_OIDC_ROLES: 'ops=target-admin,ops=no-such-role,staff=viewer',
  OPSCONDUCTOR_OIDC_EGRESS_ALLOW: '127.0.0.1',
}
const bench = await signInBench(t, settings)
const { command, send, auth, vault, another } = bench
const ann: Person = { sub: 'Ann-0815', name: 'Ann Example', email: 'ann@example.org', groups: ['ops', 'staff'] }

const begin = async (): Promise<{ url: string; state: string; begun: string }> =>
  done(await send('GET', '/v1/auth/oidc/begin'))
const finish = (returned: object) => auth('oidc/finish', returned)
/** What somebody has in hand who comes back from the provider. */
const back = async (person: Person, change: Record<string, string> = {}) => {
  const { url, begun } = await begin()
  const altered = new URL(url)
  for (const [name, value] of Object.entries(change)) altered.searchParams.set(name, value)
  return { ...(await provider.browse(altered.href, person)), begun }
}
const enter = async (person: Person) => done(await finish(await back(person)))
const eventsOf = async (stream: string): Promise<Recorded[]> => [...(await vault.store.read(stream)).events]
const failures = () => vault.lines.filter(line => line.includes('"sign-in failed"')).length
const targetBy = (as: string) => command('create-target', { name: 'web', address: '192.0.2.1' }, { as })

t.test('somebody comes by the provider, and is the same person the next time', async t => {
  const first = await enter(ann)
  t.match(first, { status: 'signed-in', userId: /^[0-9a-f-]{36}$/ })
  const me = done(await send('GET', '/v1/auth/me', undefined, { as: first.accessToken }))
  t.match(me, { actor: { kind: 'user', mfa: false }, user: { displayName: 'Ann Example', email: 'ann@example.org' } })
  const again = await enter({ ...ann, email: 'other@example.org' })
  t.equal(again.userId, first.userId, 'by the subject, not by the address')
  const other = done(await send('GET', '/v1/auth/me', undefined, { as: again.accessToken }))
  t.match(other.user, { displayName: 'Ann Example', email: 'other@example.org' }, 'as the provider says now')
  const { name: _, email: __, ...silent } = ann
  const third = await enter(silent)
  const same = done(await send('GET', '/v1/auth/me', undefined, { as: third.accessToken }))
  t.match(same.user, { displayName: 'Ann Example', email: 'other@example.org' }, 'what it does not say stays')
  t.not((await enter({ ...ann, sub: 'ann-0815' })).userId, first.userId, 'subjects are told apart by case')
  const user = await eventsOf(streams.user(first.userId))
  const registered = { type: 'UserRegistered', data: { issuer: provider.issuer, loginIndex: /^[0-9a-f]{64}$/ } }
  const changed = { type: 'UserProfileChanged', data: { fields: ['email'] }, metadata: { actor: { id: 'sign-in' } } }
  t.match(user, [registered, changed])
  t.equal(user.length, 2, 'only what changed is told')
  t.match(await eventsOf(streams.session(first.sessionId)), [{ data: { method: 'oidc' } }])
  const told = JSON.stringify(user.map(({ data, metadata }) => [data, metadata]))
  for (const personal of ['Ann', 'ann@', 'other@', '0815']) {
    t.notMatch(told, personal)
    t.notOk(vault.lines.some(line => line.includes(personal)))
  }
})

t.test('roles follow the groups at each sign-in; what people granted stays', async t => {
  const { userId, accessToken } = await enter({ sub: 'bob', groups: ['ops'] })
  t.equal((await targetBy(accessToken)).statusCode, 201)
  const principal = { kind: 'user', id: userId }
  const byHand = { principal, role: 'target-admin', scope: { kind: 'labels', labels: 'env=test' } }
  const reason = `The OpenID provider ${provider.issuer}`
  const given = done(await command('grant-role', { ...byHand, reason }))
  await enter({ sub: 'bob', groups: ['ops'] })
  const moved = await enter({ sub: 'bob', groups: ['staff'] })
  t.equal((await targetBy(moved.accessToken)).statusCode, 403, 'what the group gave is gone')
  t.equal((await eventsOf(given.stream)).length, 1, 'although the reason reads the same')
  const grants = await grantsTo(userId)
  const mapped = grants.filter(({ metadata }) => metadata.actor.kind === 'system')
  t.match(mapped, [
    { data: { role: 'target-admin', reason }, metadata: { actor: { id: 'oidc' } } },
    { data: { role: 'viewer', reason } },
  ])
  t.equal(mapped.length, 2, 'nothing is granted twice')
  const [lost] = mapped
  t.match(await eventsOf(lost?.stream ?? ''), [{ type: 'RoleGranted' }, { type: 'RoleRevoked', data: { reason } }])
  t.ok(
    vault.lines.some(line => line.includes('no-such-role')),
    'a role that is not there is told, and hinders nobody',
  )
})

async function grantsTo(userId: string): Promise<Recorded[]> {
  const found: Recorded[] = []
  const { signal } = new AbortController()
  for await (const { events, caughtUp } of vault.store.follow({ categories: ['grant'], after: undefined, signal })) {
    found.push(...events.filter(({ type, data }) => type === 'RoleGranted' && JSON.stringify(data).includes(userId)))
    if (caughtUp) break
  }
  return found
}

t.test('what does not fit is refused, all alike', async t => {
  const before = failures()
  const refusedAs = async (what: string, returned: object) => {
    const answer = await finish(returned)
    t.equal(answer.statusCode, 401, what)
    t.equal(answer.json().type, 'urn:opsconductor:problem:sign-in-failed', what)
  }
  const good = await back(ann)
  const other = await begin()
  await refusedAs('a state nobody began with', { ...good, state: 'made-up' })
  await refusedAs('what another sign-in began with', { ...good, begun: other.begun })
  await refusedAs('the code of another sign-in', { ...good, state: other.state, begun: other.begun })
  const damaged = good.begun.replace(/.$/, last => (last === 'A' ? 'B' : 'A'))
  await refusedAs('a made-up beginning', { ...good, begun: `opsb_${'0'.repeat(32)}_AAAA` })
  await refusedAs('a damaged beginning', { ...good, begun: damaged.replace(/^opsb_./, 'opsb_f') })
  await refusedAs('no beginning of ours', { ...good, begun: 'opsr_0' })
  t.equal((await finish(good)).statusCode, 200, 'none of that has used it up')
  await refusedAs('the same once more', good)
  const next = await begin()
  await refusedAs('a replayed code', { ...good, state: next.state, begun: next.begun })
  await refusedAs('a made-up code', { ...(await back(ann)), code: 'made-up' })
  await refusedAs('another nonce', await back(ann, { nonce: 'another' }))
  await refusedAs('another challenge', await back(ann, { code_challenge: 'x'.repeat(43) }))
  await refusedAs('the word of another provider', { ...(await back(ann)), iss: 'https://other.example' })
  t.equal(failures() - before, 12)
  t.equal((await finish({ ...good, more: 1 })).statusCode, 400)
})

t.test('an ID token counts only when all of it is right', async t => {
  const forged = async (change: object, otherKey = false) => {
    const { url, begun } = await begin()
    const nonce = new URL(url).searchParams.get('nonce')
    const claims = { iss: provider.issuer, aud: client.id, sub: 'carla', nonce, ...change }
    const returned = { ...(await provider.browse(url, { sub: 'carla' })), begun }
    provider.forge({ claims, otherKey })
    const { statusCode } = await finish(returned)
    provider.forge(undefined)
    return statusCode
  }
  t.equal(await forged({}), 200, 'the forger can do it right')
  t.equal(await forged({ aud: 'somebody-else' }), 401)
  t.equal(await forged({ iss: 'https://other.example' }), 401)
  t.equal(await forged({ nonce: 'another' }), 401)
  t.equal(await forged({ nonce: undefined }), 401)
  t.equal(await forged({}, true), 401, 'signed with another key')
})

t.test('two first times at once are one person, and whoever is erased comes back as somebody new', async t => {
  const [{ userId }, other] = await Promise.all([enter({ sub: 'eve' }), enter({ sub: 'eve' })])
  t.equal(other.userId, userId)
  done(await command('erase-personal-data', { userId, reason: 'asked for it' }))
  t.not((await enter({ sub: 'eve' })).userId, userId)
})

t.test('somebody who is deactivated does not come in by the provider', async t => {
  const { userId } = await enter({ sub: 'dan' })
  done(await command('deactivate-user', { userId, reason: 'left' }))
  const answer = await finish(await back({ sub: 'dan' }))
  t.equal(answer.statusCode, 401)
  t.equal(answer.json().type, 'urn:opsconductor:problem:sign-in-failed')
  await until(() => vault.lines.some(line => line.includes('"why":"deactivated"')))
})

t.test('what one process begins another finishes, once', async t => {
  const other = await another()
  const away = (returned: object) => other.send('POST', '/v1/auth/oidc/finish', returned)
  t.equal((await away(await back(ann))).statusCode, 200)
  const returned = await back(ann)
  const answers = await Promise.all([away(returned), finish(returned), away(returned), finish(returned)])
  const statuses = answers.map(({ statusCode }) => statusCode).sort()
  t.same(statuses, [200, 401, 401, 401], 'of many at once, at different processes, one')
  t.equal((await away(returned)).statusCode, 401)
  t.equal((await finish(returned)).statusCode, 401)
})

t.test('more than can be remembered are asked to come again', async t => {
  const pool = createPool(vault.databaseUrl, pino({ level: 'silent' }), { max: 1 })
  t.teardown(() => pool.end())
  const returned = await back(ann)
  const many = `insert into vault.begun_taken select 'spec ' || n, now() + interval '1 hour' from generate_series(1, 100000) n`
  await pool.query(many)
  const answer = await finish(returned)
  t.match([answer.statusCode, answer.json().type], [429, 'urn:opsconductor:problem:rate-limited'])
  await pool.query(`delete from vault.begun_taken where begun_id like 'spec %'`)
  t.equal((await finish(returned)).statusCode, 200, 'it was not used up')
})

t.test('sent back to a port of loopback only where a client for that is set', async t => {
  const begins = (at: Pick<typeof bench, 'send'>, query: string) => at.send('GET', `/v1/auth/oidc/begin${query}`)
  const answer = await begins(bench, '?loopbackPort=50000')
  t.equal(answer.statusCode, 404)
  t.match(answer.json().detail, /No OpenID provider is set up/)
  const { OPSCONDUCTOR_OIDC_REDIRECT_URL: _, OPSCONDUCTOR_OIDC_CLIENT_ID: __, ...rest } = settings
  const other = await another({ ...rest, OPSCONDUCTOR_OIDC_CLI_CLIENT_ID: cliClient.id })
  t.equal((await begins(other, '')).statusCode, 404, 'and to a page only where one is set')
  for (const port of ['', '80', '65536', '50000.5', '50000@evil.example', 'x'])
    t.equal((await begins(other, `?loopbackPort=${port}`)).statusCode, 400, port)
  t.equal((await begins(other, '?redirectUrl=https://evil.example')).statusCode, 400)
  const { url, begun } = done(await begins(other, '?loopbackPort=50000'))
  t.equal(new URL(url).searchParams.get('redirect_uri'), 'http://127.0.0.1:50000/signed-in')
  const returned = { ...(await provider.browse(url, ann)), begun }
  t.equal((await finish(returned)).statusCode, 401, 'where that client is not set')
  const again = done(await begins(other, '?loopbackPort=50001'))
  const finished = { ...(await provider.browse(again.url, ann)), begun: again.begun }
  t.match(done(await other.send('POST', '/v1/auth/oidc/finish', finished)), { status: 'signed-in' })
})

t.test('a provider that does not answer is told of, with nothing about where it is', async t => {
  const closed = `http://127.0.0.1:${await freePort()}`
  const other = await another({ ...settings, OPSCONDUCTOR_OIDC_ISSUER: closed })
  const answer = await other.send('GET', '/v1/auth/oidc/begin')
  t.match([answer.statusCode, answer.json().type], [503, 'urn:opsconductor:problem:sign-in-provider-unavailable'])
  t.notMatch(answer.body, closed)
})

t.test('loopback is closed unless the settings open it', async t => {
  const { oidc } = loadConfig({ ...settings, OPSCONDUCTOR_OIDC_EGRESS_ALLOW: '' })
  if (!oidc) throw new Error('there is a provider in the settings')
  await t.rejects(createOidcProvider(oidc).begin(redirectUrl), { cause: { class: 'policy-denied' } })
  t.throws(() => loadConfig({ ...settings, OPSCONDUCTOR_OIDC_ISSUER: 'http://id.example.org' }), /https/)
  const issuer = { OPSCONDUCTOR_OIDC_ISSUER: 'https://id.example.org' }
  for (const half of [{}, { OPSCONDUCTOR_OIDC_CLIENT_ID: 'x' }, { OPSCONDUCTOR_OIDC_REDIRECT_URL: redirectUrl }])
    t.throws(() => loadConfig({ ...issuer, ...half }), /CLIENT_ID/)
})
