import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startCli } from '../support/cli.ts'
import { goodPassphrase, otherPassphrase, until } from '../support/sign-in.ts'
import { startSystem } from '../support/system.ts'

const PATIENCE_MS = 60_000
const state = mkdtempSync(join(tmpdir(), 'opsc-state-'))
t.teardown(() => rmSync(state, { recursive: true, force: true }))
const system = startSystem(t, { args: ['--roles=vault,command-api,query-api,workers'] })
await system.printed(/npx opsconductor --help/)
const link = /opsl_[0-9a-f]{32}_[A-Za-z0-9_-]{43}/.exec(system.output())?.[0] ?? ''
const { roles } = system.runtime()
const urlOf = (role: string) => String(roles[role]?.endpoints.url)
const [commandUrl, queryUrl] = [urlOf('command-api'), urlOf('query-api')]

const cli = (args: string[], input?: string) => {
  const env = { XDG_STATE_HOME: state, OPSCONDUCTOR_URL: commandUrl }
  return startCli(args, { env, ...(input !== undefined && { input }) }).ended
}
const post = async (path: string, body: object, as?: string) => {
  const headers = { 'content-type': 'application/json', ...(as && { authorization: `Bearer ${as}` }) }
  return await fetch(`${commandUrl}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
}
const get = (path: string, as: string, signal?: AbortSignal) =>
  fetch(`${queryUrl}${path}`, { headers: { authorization: `Bearer ${as}` }, ...(signal && { signal }) })
const itemsOf = async (path: string, as: string) =>
  ((await (await get(path, as)).json()) as { items: Array<Record<string, unknown>> }).items
const signIn = async (loginName: string, passphrase: string) =>
  (await (await post('/v1/auth/sign-in', { loginName, passphrase })).json()) as {
    userId: string
    sessionId: string
    accessToken: string
  }

t.test('the first administrator comes in by the link that was shown at the first start', async t => {
  t.match(system.output(), /First administrator: login name administrator/)
  const short = await cli(['login', '--link'], `${link}\ntoo short\n`)
  t.equal(short.code, 2, 'a passphrase that is refused')
  t.match(short.err, /at least 15 characters/)
  const login = await cli(['login', '--link'], `${link}\n${goodPassphrase}\n`)
  t.equal(login.code, 0, login.err)
  t.notMatch(login.out + login.err, goodPassphrase)
  t.equal(statSync(join(state, 'opsconductor', 'tokens.json')).mode & 0o777, 0o600)
  t.match(JSON.parse((await cli(['whoami'])).out), { user: { loginName: 'administrator' } })
  t.equal((await cli(['login', '--link'], `${link}\n${goodPassphrase}\n`)).code, 3, 'once')
})

t.test('an administrator invites somebody, who is seen by name and not in the log', async t => {
  const created = await cli(['user', 'create', 'ann@example.org', '--name', 'Ann Example'])
  t.equal(created.code, 0, created.err)
  const { userId, link: hers } = JSON.parse(created.out)
  t.equal((await post('/v1/auth/link', { link: hers, passphrase: otherPassphrase })).status, 200)
  const { accessToken } = await signIn('administrator', goodPassphrase)
  const users = () => itemsOf('/v1/users', accessToken)
  await until(async () => (await users()).length === 2, PATIENCE_MS)
  const shown = (await users()).find(user => user.userId === userId)
  t.match(shown, { loginName: 'ann@example.org', displayName: 'Ann Example', status: 'active' })
  const found = await itemsOf('/v1/users?loginName=ANN@example.org', accessToken)
  t.same(
    found.map(user => user.userId),
    [userId],
  )
  const audit = await (await get('/v1/audit?limit=200', accessToken)).text()
  t.match(audit, 'UserInvited')
  t.notMatch(audit, 'ann@example.org')
  t.notMatch(audit, 'Ann Example')
})

t.test('abuse 14: what is revoked is over within a second in both APIs, open streams included', async t => {
  const administrator = await signIn('administrator', goodPassphrase)
  const other = await signIn('administrator', goodPassphrase)
  const stream = await get('/v1/events', other.accessToken, AbortSignal.timeout(PATIENCE_MS))
  t.equal(stream.status, 200)
  const closed = stream.text().then(() => performance.now())
  const command = { sessionId: other.sessionId, reason: 'laptop stolen' }
  t.equal((await post('/v1/commands/revoke-session', command, administrator.accessToken)).status, 200)
  const revokedAt = performance.now()
  t.equal((await post('/v1/auth/sign-out', {}, other.accessToken)).status, 401, 'at once where it was revoked')
  await until(async () => (await get('/v1/targets', other.accessToken)).status === 401, PATIENCE_MS)
  const queryMs = performance.now() - revokedAt
  const streamMs = (await closed) - revokedAt
  t.ok(queryMs < 1_000, `queries refused after ${Math.round(queryMs)} ms`)
  t.ok(streamMs < 1_000, `stream closed after ${Math.round(streamMs)} ms`)
  t.equal((await get('/v1/targets', administrator.accessToken)).status, 200, 'others go on')
})

t.test('a key of one’s own reads what one may, on both sides, until it is revoked', async t => {
  const { accessToken } = await signIn('administrator', goodPassphrase)
  const issued = await post('/v1/auth/api-keys/issue', { name: 'laptop', permissions: ['target:read'] }, accessToken)
  const { apiKey, stream } = (await issued.json()) as { apiKey: string; stream: string }
  await until(async () => (await get('/v1/targets', apiKey)).status === 200, PATIENCE_MS)
  t.equal((await get('/v1/jobs', apiKey)).status, 403)
  const own = await itemsOf('/v1/auth/api-keys', accessToken)
  t.match(own, [{ name: 'laptop', status: 'active', permissions: ['target:read'] }])
  t.notMatch(JSON.stringify(own), 'secretHash')
  const keyId = stream.slice('apikey-'.length)
  t.equal((await post('/v1/auth/api-keys/revoke', { keyId }, accessToken)).status, 200)
  const revokedAt = performance.now()
  await until(async () => (await get('/v1/targets', apiKey)).status === 401, PATIENCE_MS)
  t.ok(performance.now() - revokedAt < 1_000)
})

t.test('signing out on the command line', async t => {
  t.equal((await cli(['logout'])).code, 0)
  t.equal((await cli(['whoami'])).code, 3)
})
