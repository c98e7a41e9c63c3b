import t from 'tap'
import { loadConfig } from '../../config.ts'
import { covers } from '../broker/subject.ts'
import { brokerUserOf, brokerUsersFor } from './broker-users.ts'
import { Connections } from './connections.ts'
import { formatLine } from './output.ts'
import { defaultRoles, needsOf, plan, type RoleName, readRoles } from './plan.ts'
import { welcome } from './welcome.ts'

const none = { 'event-store': false, postgres: false, broker: false }

t.test('what is needed and not given is embedded, started first and stopped last', async t => {
  t.same(plan(defaultRoles, none), {
    start: [['event-store-node', 'postgres', 'broker'], ['vault'], ['workers', 'api'], ['executor']],
    stop: [['api'], ['executor'], ['workers'], ['vault'], ['event-store-node', 'postgres', 'broker']],
  })
})

t.test('each dependency is given or embedded on its own', async t => {
  t.same(plan(['api'], { ...none, postgres: true }).start, [['event-store-node', 'broker'], ['api']])
  t.same(plan(['executor'], none).start, [['broker'], ['executor']])
  t.same(plan(['executor'], { ...none, broker: true }).start, [['executor']])
})

t.test('roles are read from a list, and what is unknown is named', async t => {
  t.same(readRoles('api, executor'), ['api', 'executor'])
  t.throws(() => readRoles('api,butler,cook'), /there is no role butler, cook; there is .*command-api.*executor/)
  t.throws(() => readRoles('toString'), /there is no role toString/)
})

t.test('an executor can neither hear others nor speak for them', async t => {
  const users = brokerUsersFor({ executorId: 'e1' }, user => `password of ${user}`)
  const executor = users.find(({ user }) => user === 'executor')?.permissions
  const may = (rule: { allow: string[] } | undefined, subject: string) =>
    rule?.allow.some(pattern => covers(pattern, subject)) === true
  t.equal(may(executor?.publish, 'opsc.report.v1.e1'), true)
  t.equal(may(executor?.publish, 'opsc.report.v1.e2'), false)
  t.equal(may(executor?.publish, 'opsc.dispatch.v1.pull.south'), true, 'questions are signed; the log knows its pool')
  t.equal(may(executor?.publish, '_INBOX.api.1'), false)
  t.equal(may(executor?.subscribe, '_INBOX.executor.1'), true)
  t.equal(may(executor?.subscribe, '_INBOX.vault.1'), false)
  t.equal(may(executor?.subscribe, 'opsc.live.v1.r1'), false)
  t.equal(new Set(users.map(({ password }) => password)).size, users.length)
})

t.test('every role that needs the broker has a user there', async t => {
  const users = brokerUsersFor({ executorId: 'e1' }, () => 'x').map(({ user }) => user)
  const roles: RoleName[] = ['event-store-node', 'postgres', 'broker', 'vault', 'api', 'command-api', 'query-api']
  for (const role of [...roles, 'workers', 'projectors', 'reactors', 'executor'] as const) {
    const user = brokerUserOf(role)
    t.equal(user !== undefined && users.includes(user), needsOf(role).includes('broker'), role)
  }
})

t.test('a role is told what it needs and no more', async t => {
  const connections = new Connections(loadConfig({}))
  connections.learn('event-store-node', '127.0.0.1:2113')
  connections.learn('postgres', 'postgres://rows')
  connections.learn('broker', '127.0.0.1:4222')
  const secrets = (role: RoleName) =>
    Object.keys(connections.environment(role))
      .filter(name => /URL|CREDENTIALS|USERS|ENDPOINT/.test(name) && name.startsWith('OPSCONDUCTOR_'))
      .sort()
  t.same(secrets('executor'), ['OPSCONDUCTOR_NATS_URL'])
  t.same(secrets('query-api'), ['OPSCONDUCTOR_NATS_URL', 'OPSCONDUCTOR_POSTGRES_URL'])
  t.same(secrets('broker'), ['OPSCONDUCTOR_BROKER_USERS', 'OPSCONDUCTOR_NODE_ENDPOINT'])
  t.same(secrets('event-store-node'), ['OPSCONDUCTOR_NODE_CREDENTIALS', 'OPSCONDUCTOR_NODE_ENDPOINT'])
  const { OPSCONDUCTOR_NATS_URL: nats = '' } = connections.environment('executor')
  t.match(nats, /^nats:\/\/executor:[\w-]{32}@127\.0\.0\.1:4222$/)
  t.notMatch(connections.environment('vault').OPSCONDUCTOR_NATS_URL, new RegExp(new URL(nats).password))
})

t.test('a URL that is given is passed on as it is', async t => {
  const connections = new Connections(loadConfig({ OPSCONDUCTOR_NATS_URL: 'nats://far:away@example.org' }))
  t.same(connections.given(), { ...none, broker: true })
  t.equal(connections.environment('vault').OPSCONDUCTOR_NATS_URL, 'nats://far:away@example.org')
  t.equal(connections.environment('vault').OPSCONDUCTOR_POSTGRES_URL, undefined)
})

t.test('the secrets of the OpenID clients are told only to those who sign people in', t => {
  const secrets = ['OPSCONDUCTOR_OIDC_CLIENT_SECRET', 'OPSCONDUCTOR_OIDC_CLI_CLIENT_SECRET']
  const connections = new Connections(
    loadConfig({
      OPSCONDUCTOR_OIDC_ISSUER: 'https://id.example.org',
      OPSCONDUCTOR_OIDC_CLIENT_ID: 'opsconductor',
      OPSCONDUCTOR_OIDC_REDIRECT_URL: 'https://app.example.org/signed-in',
      OPSCONDUCTOR_OIDC_CLI_CLIENT_ID: 'opsconductor-cli',
      ...Object.fromEntries(secrets.map(name => [name, `value of ${name}`])),
    }),
  )
  const roles: RoleName[] = ['api', 'command-api', 'query-api', 'vault', 'executor', 'workers']
  for (const secret of secrets) {
    const told = roles.filter(role => connections.environment(role)[secret] !== undefined)
    t.same(told, ['api', 'command-api'])
    t.equal(connections.environment('api')[secret], `value of ${secret}`)
  }
  t.end()
})

t.test('log lines are shown for people', async t => {
  const now = new Date('2026-01-02T03:04:05.678Z')
  const shown = (line: object | string) =>
    formatLine('api', typeof line === 'string' ? line : JSON.stringify(line), now)
  const prefix = '03:04:05 api              '
  t.equal(
    shown({ level: 30, time: 'x', role: 'api', msg: 'ready', port: 80, who: 'me' }),
    `${prefix}ready  port=80  who=me`,
  )
  t.equal(shown({ level: 40, msg: 'slow' }), `${prefix}warning  slow`)
  t.equal(shown({ level: 35, msg: 'odd' }), `${prefix}level 35  odd`)
  t.equal(
    shown({ level: 40, msg: 'failed', err: { message: 'why', stack: 'at x' } }),
    `${prefix}warning  failed\n${prefix}  why`,
  )
  t.equal(
    shown({ level: 60, msg: 'failed', err: { message: 'why', stack: 'why\nat x' } }),
    `${prefix}FATAL  failed\n${prefix}  why\n${prefix}  at x`,
  )
  for (const text of ['not a log line', '{"half":', '{"no":"level"}']) t.equal(shown(text), prefix + text)
})

t.test('the welcome shows a new key once, and an old one never', async t => {
  const facts = { url: 'http://127.0.0.1:7400', dataDir: '/data', seconds: 2.34, key: 'opsc_id_secret' }
  const first = welcome(facts)
  t.match(first, /ready after 2\.3 s/)
  t.match(first, /│ opsc_id_secret +│/)
  t.match(first, /http:\/\/127\.0\.0\.1:7400\/docs/)
  const later = welcome({ ...facts, key: undefined })
  t.notMatch(later, /Administrator API key/)
  t.notMatch(welcome({ ...facts, url: undefined, key: undefined }), /http|OPSCONDUCTOR_URL/)
})
