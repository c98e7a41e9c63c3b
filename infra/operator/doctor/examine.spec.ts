import t from 'tap'
import { loadConfig } from '../../config.ts'
import { defaultEdge } from '../../http/edge-options.ts'
import { endpointsOf } from './endpoints.ts'
import { examine, exitCode } from './examine.ts'
import type { Database, Facts, PrivateFile } from './facts.ts'

const database: Database = {
  ...{ driftMs: 20, administrators: 1, withoutSecondFactor: [], firstUse: { trusted: 0, targets: 3 } },
  ...{ executors: [], ownerless: [], expiring: [] },
}
/** A system nothing can be said against. */
const sound: Facts = {
  now: '2026-11-01T12:00:00.000Z',
  ...{ host: '127.0.0.1', logLevel: 'info', edge: defaultEdge, egressAllow: [], vaultEgressAllow: [] },
  oidcEgressAllow: [],
  ...{ kekProvider: 'file', endpoints: [], files: [], adminKeys: [] },
  oidcRedirectUrl: undefined,
  ...{ node: 'v24.3.0', root: false, coreDumps: false, roles: [], swap: [] },
  nodeSettings: { trustsAnybody: false, debuggable: false },
  disks: [{ path: '/data', free: 50e9, total: 100e9 }],
  database,
}
const file = (more: Partial<PrivateFile>): PrivateFile => ({
  ...{ what: 'key-encryption keys', path: '/keys/kek.json', mode: 0o600, insideData: false },
  ...more,
})
const edge = (more: Partial<Facts['edge']>) => ({ edge: { ...defaultEdge, ...more } })
const found = (more: Partial<Facts>) => examine({ ...sound, ...more }).map(({ id, severity }) => `${severity} ${id}`)

t.test('nothing is said against what is sound', async t => {
  t.same(found({}), [])
  t.same(found({ database: undefined }), [], 'nor without a database to ask')
  t.equal(exitCode([]), 0)
})

const cases: Array<[what: string, facts: Partial<Facts>, finding: string | undefined]> = [
  ['all addresses', { host: '0.0.0.0' }, 'danger api-without-tls'],
  ['a name of its own', { host: 'api.example.org' }, 'danger api-without-tls'],
  ['behind a proxy', { host: '0.0.0.0', ...edge({ trustedProxies: ['10.0.0.5'] }) }, undefined],
  ['IPv6 loopback', { host: '::1' }, undefined],
  ['no limit', edge({ rateLimit: 0 }), 'warning rate-limit-off'],
  ['no limit for strangers', edge({ addressRateLimit: 0 }), 'warning address-rate-limit-off'],
  ['pages over HTTP', edge({ corsOrigins: ['http://ui.example.org'] }), 'danger cors-plain-http'],
  ['pages of this machine', edge({ corsOrigins: ['http://localhost:5173', 'https://ui.example.org'] }), undefined],
  [
    'many pages',
    edge({ corsOrigins: Array.from({ length: 11 }, (_, n) => `https://${n}.example`) }),
    'warning cors-wide',
  ],
  ['everybody a proxy', edge({ trustedProxies: ['0.0.0.0/0'] }), 'danger trusted-proxies-wide'],
  ['everybody a proxy, IPv6', edge({ trustedProxies: ['::/0'] }), 'danger trusted-proxies-wide'],
  ['a network of proxies', edge({ trustedProxies: ['10.0.0.0/8'] }), 'warning trusted-proxies-wide'],
  ['a subnet of proxies', edge({ trustedProxies: ['172.31.240.0/24'] }), undefined],
  ['requests to everywhere', { egressAllow: ['0.0.0.0/0'] }, 'danger egress-wide'],
  ['requests to the metadata service', { egressAllow: ['169.254.0.0/16'] }, 'danger egress-wide'],
  ['requests to a network', { egressAllow: ['10.0.0.0/8'] }, 'warning egress-wide'],
  ['requests to the OpenID provider', { oidcEgressAllow: ['::/0'] }, 'danger egress-wide'],
  ['requests of the vault', { vaultEgressAllow: ['::/0'] }, 'danger egress-wide'],
  ['requests to hosts', { egressAllow: ['build.internal', '10.1.2.3'] }, undefined],
  ['a readable key', { files: [file({ mode: 0o640 })] }, 'danger readable-by-others'],
  ['readable data', { files: [file({ what: 'data folder', mode: 0o755 })] }, 'warning readable-by-others'],
  ['a private key', { files: [file({})] }, undefined],
  ['a key not made yet', { files: [file({ mode: undefined })] }, undefined],
  ['a key beside its data', { files: [file({ insideData: true })] }, 'danger kek-beside-data'],
  ['hashes beside the data', { files: [file({ what: 'API key hashes', insideData: true })] }, undefined],
  ['keys in the environment', { kekProvider: 'environment' }, 'warning kek-in-environment'],
  ['much in the log', { logLevel: 'debug' }, 'warning debug-log'],
  ['root', { root: true }, 'warning running-as-root'],
  ['a role as root', { roles: [{ name: 'vault', uid: 0, coreDumps: false }] }, 'warning running-as-root'],
  ['core dumps', { coreDumps: true }, 'warning core-dumps'],
  ['core dumps of a role', { roles: [{ name: 'vault', uid: 7, coreDumps: true }] }, 'warning core-dumps'],
  ['core dumps here, not there', { coreDumps: true, roles: [{ name: 'a', uid: 7, coreDumps: false }] }, undefined],
  ['a readable secret', { files: [file({ what: 'secret file', mode: 0o644 })] }, 'warning readable-by-others'],
  [
    'a vault beside others',
    { roles: ['vault', 'api'].map(name => ({ name, uid: 7, coreDumps: false })) },
    'note vault-not-apart',
  ],
  [
    'a vault apart from others',
    { roles: ['vault', 'api', 'executor'].map((name, n) => ({ name, uid: 7 + n, coreDumps: false })) },
    undefined,
  ],
  ['swap', { swap: ['/dev/sda2'] }, 'note swap'],
  ['any certificate', { nodeSettings: { trustsAnybody: true, debuggable: false } }, 'danger node-trusts-anybody'],
  ['a debugger', { nodeSettings: { trustsAnybody: false, debuggable: true } }, 'danger node-debuggable'],
  ['signing in over HTTP', { oidcRedirectUrl: 'http://ui.example.org/back' }, 'danger oidc-redirect-plain-http'],
  ['signing in over HTTPS', { oidcRedirectUrl: 'https://ui.example.org/back' }, undefined],
  ['signing in on this machine', { oidcRedirectUrl: 'http://127.0.0.1:5173/back' }, undefined],
  [
    'administrators by passphrase alone',
    { database: { ...database, withoutSecondFactor: ['u-1', 'u-2'] } },
    'warning administrator-without-second-factor',
  ],
  [
    'hosts that are believed at first',
    { database: { ...database, firstUse: { trusted: 2, targets: 3 } } },
    'note host-keys-by-first-use',
  ],
  ['an old Node', { node: 'v20.20.2' }, 'warning old-node'],
  ['an odd Node', { node: 'v23.1.0' }, 'warning old-node'],
  ['a Node to come', { node: 'v28.0.0' }, undefined],
  ['little room', { disks: [{ path: '/', free: 5e9, total: 100e9 }] }, 'warning disk-nearly-full'],
  ['little room on a small disk', { disks: [{ path: '/', free: 5e8, total: 1e9 }] }, 'warning disk-nearly-full'],
  ['no room', { disks: [{ path: '/', free: 1e9, total: 100e9 }] }, 'danger disk-nearly-full'],
  ['a slow clock', { database: { ...database, driftMs: -2_500 } }, 'warning clock-drift'],
  ['a wrong clock', { database: { ...database, driftMs: 90_000 } }, 'danger clock-drift'],
  [
    'an account whose owner left',
    { database: { ...database, ownerless: [{ id: 'a-1', name: 'nightly', lost: true }] } },
    'warning ownerless-service-account',
  ],
  [
    'an account that was nobody’s',
    { database: { ...database, ownerless: [{ id: 'a-1', name: 'nightly', lost: false }] } },
    'note ownerless-service-account',
  ],
  ['a silent database', { database: 'unreachable' }, 'warning database-unreachable'],
  [
    'an executor from before',
    { database: { ...database, executors: [{ executorId: 'east', protocol: 0 }] } },
    'danger executor-older-protocol',
  ],
  ['an executor of today', { database: { ...database, executors: [{ executorId: 'east', protocol: 1 }] } }, undefined],
]
for (const [what, facts, finding] of cases) {
  t.test(what, async t => t.same(found(facts), finding === undefined ? [] : [finding]))
}

t.test('keys that may do everything', async t => {
  const key = { id: 'a1', label: 'laptop', createdAt: '2026-10-01T00:00:00.000Z' }
  t.same(found({ adminKeys: [key] }), ['warning admin-key-in-use'], 'beside administrators')
  const alone = { ...database, administrators: 0 }
  t.same(found({ adminKeys: [key], database: alone }), ['note admin-key-in-use'])
  t.same(found({ adminKeys: [key], database: undefined }), ['note admin-key-in-use'])
  t.same(found({ adminKeys: [{ ...key, expiresAt: '2026-10-31T00:00:00.000Z' }] }), [], 'one that has expired is none')
  const old = { ...key, createdAt: '2026-07-01T00:00:00.000Z' }
  t.same(
    found({ adminKeys: [old], database: alone }),
    ['warning admin-key-old', 'note admin-key-in-use'],
    'worst first',
  )
})

t.test('what expires soon', async t => {
  const at = (day: string) => ({
    database: { ...database, expiring: [{ kind: 'apikey', id: 'k1', name: 'ci', at: `2026-11-${day}T12:00:00.000Z` }] },
  })
  t.same(found(at('10')), ['warning expiring'])
  t.match(examine({ ...sound, ...at('10') }), [{ what: /apikey ci \(k1\) expires in 9 days/ }])
  t.same(found(at('20')), [])
  const key = { id: 'a1', label: 'x', createdAt: '2026-10-01T00:00:00.000Z', expiresAt: '2026-11-02T00:00:00.000Z' }
  t.ok(found({ adminKeys: [key] }).includes('warning expiring'))
})

t.test('where parts are reached, and whether that can be read on the way', async t => {
  const of = (settings: Record<string, string>) =>
    found({
      endpoints: endpointsOf(
        loadConfig(Object.fromEntries(Object.entries(settings).map(([k, v]) => [`OPSCONDUCTOR_${k}`, v]))),
      ),
    })
  const [plain, unproven] = [['danger plain-text'], ['warning tls-not-verified']]
  const urls: Array<[name: string, url: string, said: string[]]> = [
    ['POSTGRES_URL', 'postgres://u:p@db.example/x', plain],
    ['POSTGRES_URL', 'postgres://u:p%40@db.example:5432/x?sslmode=require', unproven],
    ['POSTGRES_URL', 'postgres://u:p@db.example/x?sslmode=verify-full', []],
    ['POSTGRES_URL', 'postgres://u@127.0.0.1:1/x', []],
    ['POSTGRES_URL', 'postgres://u@/x?host=/run/postgresql', []],
    ['POSTGRES_URL', 'postgres://u@%2Frun%2Fpostgresql/x', []],
    ['NATS_URL', 'nats://u:p@10.0.0.1:4222', plain],
    ['NATS_URL', 'nats://u:p@localhost:4222', []],
    ['NATS_URL', 'tls://u:p@broker.example', []],
    ['NATS_URL', 'tls://u:p@broker.example,nats://u:p@10.0.0.2', plain],
    ['EVENTSTORE_URL', 'esdb://node.example?tls=false', plain],
    ['EVENTSTORE_URL', 'esdb+discover://u:p@a.example:2113,b.example?tls=true', []],
    ['EVENTSTORE_URL', 'esdb://node.example?tlsVerifyCert=false', unproven],
    ['EVENTSTORE_URL', 'esdb://127.0.0.1:2113,a.example?tls=false', plain],
    ['HASHICORP_VAULT_URL', 'http://vault.example:8200', plain],
    ['HASHICORP_VAULT_URL', 'https://vault.example:8200', []],
    ['KEK_KMS_ENDPOINT', 'http://127.0.0.1:4566', []],
  ]
  for (const [name, url, said] of urls) t.same(of({ [name]: url }), said, url)
  const [finding] = examine({
    ...sound,
    endpoints: endpointsOf(loadConfig({ OPSCONDUCTOR_NATS_URL: 'nats://u:hunter2@a.example' })),
  })
  t.match(finding, { what: /NATS at a\.example/, todo: /tls:/ })
  t.notMatch(JSON.stringify(finding), /hunter2/)
})

t.test('every finding says what to do, and the code says how bad it is', async t => {
  for (const [, facts] of cases) for (const { todo } of examine({ ...sound, ...facts })) t.match(todo, /\w{3}.*[\w/.]$/)
  t.equal(exitCode(examine({ ...sound, adminKeys: [], root: true })), 1)
  t.equal(exitCode(examine({ ...sound, root: true, host: '0.0.0.0' })), 2)
  const noted = { ...sound, database: undefined, adminKeys: [{ id: 'a', label: 'b', createdAt: sound.now }] }
  t.equal(exitCode(examine(noted)), 0)
})
