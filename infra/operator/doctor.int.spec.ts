import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { AnyEvent, Recorded } from '../../schemas/events.ts'
import { freshDatabase } from '../../test/support/postgres.ts'
import { freshReadModel } from '../../test/support/read-model.ts'
import { createApiKey } from '../api-keys.ts'
import { loadConfig } from '../config.ts'
import { derivedId } from '../ids.ts'
import { createKekFile } from '../kek-file.ts'
import { writeRuntime } from '../runtime-file.ts'
import { gather } from './doctor/gather.ts'

const entry = fileURLToPath(new URL('../../opsconductor.js', import.meta.url))
const now = '2026-11-01T12:00:00.000Z'

function ask(args: string[], env: Record<string, string>) {
  const options = { env: { PATH: process.env.PATH, ...env } }
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--no-warnings', entry, 'doctor', ...args], options)
  return { status, said: stdout.toString(), error: stderr.toString() }
}

/** A data folder as a first start leaves it. */
function installed(name: string) {
  const home = realpathSync(mkdtempSync(join(tmpdir(), `opsc-doctor-${name}-`)))
  t.teardown(() => rmSync(home, { recursive: true, force: true }))
  const dataDir = join(home, 'data')
  mkdirSync(join(dataDir, 'executor'), { recursive: true, mode: 0o700 })
  const env = { OPSCONDUCTOR_DATA_DIR: dataDir }
  const config = loadConfig(env)
  createApiKey(config.apiKeysFile, 'laptop', { now: new Date().toISOString() })
  createKekFile(config.kekFile, { dataDir, now })
  writeFileSync(join(dataDir, 'executor/identity.pem'), 'x', { mode: 0o600 })
  return { home, dataDir, env, config }
}

t.test('without a running system it looks at settings and files', async t => {
  const { home, dataDir, env, config } = installed('files')
  const facts = await gather(config, now)
  t.match(facts, { database: undefined, roles: [], adminKeys: [{ label: 'laptop' }], node: process.version })
  t.same(
    facts.files.map(({ what, mode, insideData }) => [what, mode, insideData]),
    [
      ['key-encryption keys', 0o600, false],
      ['API key hashes', 0o600, true],
      ['runtime file', undefined, true],
      ['executor identity', 0o600, true],
      ['data folder', 0o700, false],
    ],
  )
  t.ok(facts.disks[0]?.free)
  t.equal(facts.root, process.getuid?.() === 0)

  chmodSync(config.kekFile, 0o644)
  symlinkSync(dataDir, join(home, 'elsewhere'))
  const passwordFile = join(home, 'nats-url')
  writeFileSync(passwordFile, 'nats://u:hunter3@127.0.0.1', { mode: 0o644 })
  const mounted = await gather(loadConfig({ ...env, OPSCONDUCTOR_NATS_URL_FILE: passwordFile }), now)
  t.match(
    mounted.files.find(({ what }) => what === 'secret file'),
    { path: passwordFile, mode: 0o644 },
  )
  const open = { NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_OPTIONS: '--no-warnings --inspect=0' }
  t.same((await gather(loadConfig({ ...env, ...open }), now)).nodeSettings, { trustsAnybody: true, debuggable: true })
  t.ok(facts.swap.every(name => name.startsWith('/')))
  const wide = { ...env, OPSCONDUCTOR_HOST: '0.0.0.0', OPSCONDUCTOR_EGRESS_ALLOW: '::/0' }
  const bad = ask([], { ...wide, OPSCONDUCTOR_NATS_URL: 'nats://u:hunter2@broker.example' })
  t.equal(bad.status, 2, bad.error)
  for (const id of ['readable-by-others', 'api-without-tls', 'egress-wide', 'plain-text']) {
    t.match(bad.said, new RegExp(`DANGER .*\\[${id}\\]\n    \\S`), id)
  }
  t.notMatch(bad.said, /hunter2/)
  const beside = await gather(loadConfig({ ...env, OPSCONDUCTOR_KEK_FILE: join(home, 'elsewhere/kek.json') }), now)
  t.ok(beside.files[0]?.insideData, 'also through a link')
})

t.test('it answers programs too, and tells mistakes apart', async t => {
  const { env } = installed('json')
  const { status, said } = ask(['--json'], env)
  const { findings } = JSON.parse(said)
  t.ok(status === 0 || status === 1, said)
  const key = findings.find(({ id }: { id: string }) => id === 'admin-key-in-use')
  t.match(key, { id: 'admin-key-in-use', severity: 'note', what: /laptop/, todo: /./ })
  t.match(ask([], { ...env, OPSCONDUCTOR_PORT: 'x' }), { status: 2, error: /OPSCONDUCTOR_PORT/ })
  t.match(ask(['--fast'], env), { status: 2, error: /fast/ })
  t.match(ask(['--help'], {}), { status: 0, said: /Exit code/ })
})

const recorded = (stream: string, event: AnyEvent, n: number): Recorded => {
  const commandId = derivedId('doctor', n)
  return {
    ...event,
    ...{ id: derivedId('event', n), stream, revision: 0n, recordedAt: now },
    position: { commit: BigInt(n), prepare: BigInt(n) },
    metadata: {
      ...{ commandId, $correlationId: commandId, $causationId: commandId, at: now, schemaVersion: 1 },
      ...{ actor: { kind: 'user', id: 'anna' }, origin: { channel: 'cli' } },
    },
  }
}

t.test('of a running system it asks processes and database', async t => {
  const model = await freshReadModel(t)
  const { dataDir, config } = installed('running')
  const role = { pid: process.pid, restarts: 0, endpoints: {} }
  writeRuntime(dataDir, {
    ...{ pid: process.pid, startedAt: now, postgresUrl: model.url, natsUrls: {} },
    roles: { vault: role, gone: { ...role, pid: 0x3fffff } },
  })
  const userId = derivedId('user')
  const grant = { principal: { kind: 'user', id: userId }, scope: { kind: 'everything' }, reason: 'first' } as const
  const granted = (grantId: string, role: string, more = {}): AnyEvent => ({
    type: 'RoleGranted',
    data: { grantId, role, ...grant, ...more },
  })
  const target = (name: string, n: number, more: { hostKey?: string }) => {
    const targetId = derivedId(name)
    const described = { name, address: '192.0.2.1', port: 22, platform: 'linux', tags: {} } as const
    const data = { targetId, ...described, hostKeyPolicy: 'first-use', ...more } as const
    return recorded(`target-${targetId}`, { type: 'TargetRegistered', data }, n)
  }
  const program = { version: '0.1.0', protocol: 1, labels: {}, pool: 'default', tokenHash: 'a'.repeat(64) }
  const [first, second] = [derivedId('grant', 1), derivedId('grant', 2)]
  const [lost, nobodys, theirs] = [derivedId('account', 1), derivedId('account', 2), derivedId('account', 3)]
  const owner = { kind: 'user', id: userId } as const
  const account = (serviceAccountId: string, name: string, of?: typeof owner): AnyEvent => ({
    ...{ type: 'ServiceAccountCreated', data: { serviceAccountId, name, ...(of && { owner: of }) } },
  })
  await model.project([
    recorded(`grant-${first}`, granted(first, 'administrator'), 10),
    recorded(`grant-${second}`, granted(second, 'viewer', { expiresAt: '2026-11-05T00:00:00.000Z' }), 20),
    recorded(
      'executor-east',
      {
        type: 'EnrolmentTokenIssued',
        data: { executorId: 'east', tokenHash: 'a'.repeat(64), pool: 'default', labels: {}, expiresAt: now },
      },
      30,
    ),
    {
      ...recorded(
        'executor-east',
        { type: 'ExecutorEnrolled', data: { executorId: 'east', publicKey: 'a'.repeat(43), ...program } },
        40,
      ),
      revision: 1n,
    },
    recorded(
      `user-${userId}`,
      {
        type: 'UserInvited',
        data: { userId, loginIndex: 'a'.repeat(64), linkHash: 'b'.repeat(64), linkExpiresAt: now },
      },
      41,
    ),
    {
      ...recorded(
        `user-${userId}`,
        { type: 'UserPasswordChanged', data: { userId, verifierId: derivedId('verifier'), by: 'link' } },
        42,
      ),
      revision: 1n,
    },
    target('pinned', 43, { hostKey: `ssh-ed25519 ${'A'.repeat(68)}` }),
    target('open', 44, {}),
    recorded(`serviceaccount-${lost}`, account(lost, 'nightly', owner), 50),
    recorded(`serviceaccount-${nobodys}`, account(nobodys, 'old'), 60),
    recorded(`serviceaccount-${theirs}`, account(theirs, 'daily', owner), 70),
    {
      ...recorded(
        `serviceaccount-${lost}`,
        { type: 'ServiceAccountOrphaned', data: { serviceAccountId: lost, name: 'nightly', owner } },
        80,
      ),
      revision: 1n,
    },
  ])
  const facts = await gather(config, now)
  t.match(facts.roles, [{ name: 'vault', uid: process.getuid?.() }])
  t.equal(facts.roles.length, 1, 'of those that are gone nothing is said')
  t.match(facts.database, {
    administrators: 1,
    withoutSecondFactor: [userId],
    firstUse: { trusted: 1, targets: 2 },
    executors: [{ executorId: 'east', protocol: 1 }],
    ownerless: [
      { id: lost, name: 'nightly', lost: true },
      { id: nobodys, name: 'old', lost: false },
    ],
    expiring: [{ kind: 'grant', id: second, name: 'viewer', at: '2026-11-05T00:00:00.000Z' }],
  })
  const drift = typeof facts.database === 'object' ? facts.database.driftMs : Number.NaN
  t.ok(Math.abs(drift) < 1_000, `${drift} ms`)
  const { said } = ask([], { OPSCONDUCTOR_DATA_DIR: dataDir })
  t.match(said, /WARNING .*laptop.*\[admin-key-in-use\]/)
})

t.test('a database without read models, and none that answers', async t => {
  const { url } = await freshDatabase(t)
  const { env } = installed('empty')
  const of = (postgres: string) => gather(loadConfig({ ...env, OPSCONDUCTOR_POSTGRES_URL: postgres }), now)
  t.match((await of(url)).database, { administrators: 0, executors: [] })
  t.equal((await of('postgres://nobody@127.0.0.1:1/x')).database, 'unreachable')
})
