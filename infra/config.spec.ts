import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { ConfigError, loadConfig, Secret } from './config.ts'

t.test('nothing set gives a loopback system in the current folder', async t => {
  const config = loadConfig({})
  t.match(config, { host: '127.0.0.1', port: 7400, pool: 'default', leaseSeconds: 15 })
  t.equal(config.kekFile, `${config.dataDir}-keys/kek.json`)
  t.ok(Object.isFrozen(config))
})

t.test('all problems are told at once, without the value of a secret', async t => {
  const bad = {
    OPSCONDUCTOR_PORT: 'x',
    OPSCONDUCTOR_LOG_LEVEL: 'loud',
    OPSCONDUCTOR_TYPO: '1',
    OPSCONDUCTOR_NATS_URL: '',
  }
  t.throws(() => loadConfig(bad), {
    name: 'ConfigError',
    message: /4 problem.*TYPO.*PORT.*LOG_LEVEL.*NATS_URL/s,
  })
})

t.test('a secret shows itself only when asked', async t => {
  const config = loadConfig({ OPSCONDUCTOR_POSTGRES_URL: 'postgres://u:hunter2@h/db' })
  t.equal(config.postgresUrl?.reveal(), 'postgres://u:hunter2@h/db')
  for (const shown of [`${config.postgresUrl}`, JSON.stringify(config), inspect(config)]) t.notMatch(shown, /hunter2/)
  t.equal(`${new Secret('x')}`, '[secret]')
})

t.test('a secret may come from a file', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'opsc-config-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  writeFileSync(join(dir, 'url'), 'nats://n\n')
  t.equal(loadConfig({ OPSCONDUCTOR_NATS_URL_FILE: join(dir, 'url') }).natsUrl?.reveal(), 'nats://n')
  t.throws(() => loadConfig({ OPSCONDUCTOR_NATS_URL_FILE: join(dir, 'absent') }), ConfigError)
})

t.test('labels are pairs', async t => {
  t.same(loadConfig({ OPSCONDUCTOR_EXECUTOR_LABELS: 'zone=eu,os=linux' }).executorLabels, { zone: 'eu', os: 'linux' })
})

t.test('groups become roles: pairs, or JSON for names that pairs cannot hold', async t => {
  const client = {
    OPSCONDUCTOR_OIDC_ISSUER: 'https://id.example.org',
    OPSCONDUCTOR_OIDC_CLI_CLIENT_ID: 'opsconductor-cli',
  }
  const rolesOf = (text: string) => loadConfig({ ...client, OPSCONDUCTOR_OIDC_ROLES: text }).oidc?.roles
  const refused = (text: string, why: RegExp) =>
    t.throws(() => rolesOf(text), { name: 'ConfigError', message: why }, text)
  const [ops, staff] = [
    { group: 'ops', role: 'operator' },
    { group: 'All staff', role: 'viewer' },
  ]
  t.same(rolesOf(''), [])
  t.same(rolesOf('ops=operator, All staff=viewer,'), [ops, staff])
  t.same(rolesOf(' {"ops": "operator", "All staff": ["viewer"]}'), [ops, staff])
  const group = 'cn=ops,dc=example,dc=org'
  t.same(rolesOf(JSON.stringify({ [group]: ['operator', 'approver'], '{}': 'viewer' })), [
    { group, role: 'operator' },
    { group, role: 'approver' },
    { group: '{}', role: 'viewer' },
  ])
  refused(`${group}=viewer`, /ROLES: dc=org=viewer is not group=role; .*takes the form \{"group": "role"\}/)
  refused('ops=Operator', /ROLES: ops=Operator is not group=role/)
  refused('=viewer', /=viewer is not group=role/)
  refused('ops', /ops is not group=role/)
  refused('{"ops": "operator"', /ROLES: is not a JSON object.*position/)
  refused('{"ops": "operator", "ops": "viewer"}', /A key is there twice/)
  refused('{"ops": {"role": "operator"}}', /ROLES\.ops: a role, or a list of roles/)
  refused('{"ops": []}', /ROLES\.ops: /)
  refused('{"ops": "Operator"}', /ROLES\.ops: .*lower-case/)
  refused(`{"": "viewer"}`, /ROLES/)
})
