import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { loadConfig, Secret } from '../../infra/config.ts'
import { egressPolicy } from '../../infra/egress.ts'
import { createKekFile, loadKekFile, parseKeks } from '../../infra/kek-file.ts'
import { startAwsKms } from '../../test/support/aws-kms.ts'
import { startHashicorpVault } from '../../test/support/hashicorp-vault.ts'
import { aad } from '../aad.ts'
import { NotAuthentic } from '../aes-gcm.ts'
import { KekFixed, type KekProvider, KekUnavailable, UnknownKek } from '../kek.ts'
import { openKek } from '../open-kek.ts'
import { environmentKekProvider } from './environment.ts'
import { fileKekProvider } from './file.ts'
import { kmsKekProvider } from './kms.ts'
import { transitKekProvider } from './transit.ts'

const now = '2030-01-01T00:00:00.000Z'
const loopback = egressPolicy(['127.0.0.1'])
const silent = pino({ level: 'silent' })

/** `open`: as one more process finds the same keys. `fixed`: they are made elsewhere. */
type Kind = { open(): Promise<KekProvider>; fixed: boolean; other: KekProvider }

function file(t: Test): Kind {
  const dir = mkdtempSync(join(tmpdir(), 'opsc-keks-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const dataDir = join(dir, 'data')
  const made = (name: string) => {
    createKekFile(join(dir, name), { dataDir, now })
    return () => fileKekProvider(join(dir, name), { dataDir })
  }
  const open = made('kek.json')
  return { open: async () => open(), fixed: false, other: made('other.json')() }
}

const listed = (...ids: string[]) => ids.map(id => `${id}:${randomBytes(32).toString('base64')}`).join(',')

function environment(): Kind {
  const keks = parseKeks(listed('new', 'old'), 'the list')
  const other = environmentKekProvider(parseKeks(listed('new'), 'the list'))
  return { open: async () => environmentKekProvider(keks), fixed: true, other }
}

async function transit(t: Test): Promise<Kind> {
  const { url, token, addKey } = await startHashicorpVault(t)
  const open = (name: string) => {
    addKey(name)
    const options = { url, token: new Secret(token), namespace: 'ops', key: `transit/${name}`, egress: loopback }
    return () => transitKekProvider(options)
  }
  return { open: open('keks'), fixed: false, other: await open('other')() }
}

async function kms(t: Test): Promise<Kind> {
  const { url, account, addKey } = await startAwsKms(t)
  const options = {
    ...{ accessKeyId: account.accessKeyId, secretAccessKey: new Secret(account.secretAccessKey) },
    ...{ sessionToken: new Secret(account.sessionToken), endpoint: url, egress: loopback },
  }
  const keys = [addKey(), addKey()]
  const other = kmsKekProvider({ ...options, keys: [addKey()] })
  return { open: async () => kmsKekProvider({ ...options, keys }), fixed: true, other }
}

const kinds: Record<string, (t: Test) => Kind | Promise<Kind>> = { file, environment, transit, kms }
const dek = Buffer.from('a data key, thirty-two bytes ……')
const mine = aad('credential', 1, 'dek')

for (const [kind, of] of Object.entries(kinds)) {
  t.test(`${kind}: what is wrapped unwraps for the same key and purpose only`, async t => {
    const { open, other } = await of(t)
    const keks = await open()
    const wrapped = await keks.wrap(keks.active, dek, mine)
    t.notOk(wrapped.includes(dek.subarray(0, 8)), 'nothing of it is readable')
    t.same(await keks.unwrap(keks.active, wrapped, mine), dek)
    t.same(await (await open()).unwrap(keks.active, wrapped, mine), dek, 'by another process as well')
    t.notSame(await keks.wrap(keks.active, dek, mine), wrapped, 'never twice the same')
    t.match(await keks.health(), { name: 'key-encryption key', ok: true, detail: keks.active })
    t.ok(keks.ids().includes(keks.active))
    await t.rejects(keks.unwrap(keks.active, wrapped, aad('credential', 2, 'dek')), NotAuthentic, 'another purpose')
    await t.rejects(keks.unwrap(keks.active, wrapped, Buffer.alloc(0)), NotAuthentic, 'no purpose')
    const changed = Buffer.from(wrapped)
    changed.writeUInt8((changed.at(-6) ?? 0) === 65 ? 66 : 65, changed.length - 6)
    await t.rejects(keks.unwrap(keks.active, changed, mine), NotAuthentic, 'a changed byte')
    await t.rejects(keks.unwrap(keks.active, wrapped.subarray(0, 9), mine), NotAuthentic, 'a piece of it')
    await t.rejects(keks.unwrap('kek-nobody', wrapped, mine), UnknownKek)
    await t.rejects(keks.wrap('kek-nobody', dek, mine), UnknownKek)
    const theirs = await other.wrap(other.active, dek, mine)
    await t.rejects(keks.unwrap(keks.active, theirs, mine), NotAuthentic, 'the key of somebody else')
  })

  t.test(`${kind}: a second key takes over, and the first goes on unwrapping until it is destroyed`, async t => {
    const { open, fixed } = await of(t)
    const [keks, elsewhere] = [await open(), await open()]
    if (fixed) {
      await t.rejects(keks.renew(now), KekFixed)
      await t.rejects(keks.destroy(keks.active), KekFixed)
      const [active, old = ''] = keks.ids()
      t.equal(keks.active, active, 'the first wraps what is new')
      const wrapped = await keks.wrap(old, dek, mine)
      t.same(await keks.unwrap(old, wrapped, mine), dek)
      await t.rejects(keks.unwrap(keks.active, wrapped, mine), NotAuthentic, 'each key opens its own')
      return
    }
    const first = keks.active
    const wrapped = await keks.wrap(first, dek, mine)
    const second = await keks.renew(now)
    t.equal(keks.active, second)
    t.not(second, first)
    t.same([...keks.ids()].sort(), [first, second].sort())
    const anew = await keks.wrap(second, dek, mine)
    t.same(await elsewhere.unwrap(second, anew, mine), dek, 'another process finds the new key when it meets it')
    await elsewhere.refresh()
    t.equal(elsewhere.active, second)
    t.same(await keks.unwrap(first, wrapped, mine), dek)
    await t.rejects(keks.unwrap(second, wrapped, mine), NotAuthentic, 'each key opens its own')
    await t.rejects(keks.destroy(second), /make (a newer|another) one first/)
    await keks.destroy(first)
    t.same(keks.ids(), [second])
    for (const each of [keks, elsewhere, await open()]) {
      await each.refresh()
      await t.rejects(each.unwrap(first, wrapped, mine), UnknownKek)
      t.same(await each.unwrap(second, anew, mine), dek)
    }
    await t.rejects(keks.destroy(first), UnknownKek)
  })
}

t.test('file: stays private, and a rotation by root leaves it to its owner', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'opsc-keks-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const path = join(dir, 'kek.json')
  const options = { dataDir: join(dir, 'data') }
  const first = createKekFile(path, { ...options, now })
  const keks = fileKekProvider(path, options)
  const second = await keks.renew('2031-01-01T00:00:00.000Z')
  t.same([...loadKekFile(path, options).keys.keys()], [first, second])
  t.match(JSON.parse(readFileSync(path, 'utf8')), { active: second, keks: [{ id: first }, { createdAt: /^2031/ }] })
})

t.test('environment: a list that is none is refused without quoting it', async t => {
  for (const text of ['', 'no-key', 'a:short', `${listed('a')},b:!`, `${listed('a')},${listed('a')}`]) {
    const why = await t.rejects(async () => parseKeks(text, 'the list'))
    t.notMatch(String(why), /short|!/)
  }
  t.throws(() => parseKeks(`zero:${Buffer.alloc(32).toString('base64')}`, 'the list'), /all its bytes are equal/)
})

t.test('transit: a service that is away, sealed, or refuses the token says nothing about the keys', async t => {
  const { url, token, addKey, state, stop } = await startHashicorpVault(t)
  addKey('keks')
  addKey('convergent', 'ed25519')
  const options = { url, token: new Secret(token), namespace: undefined, key: 'transit/keks', egress: loopback }
  const keks = await transitKekProvider(options)
  const wrapped = await keks.wrap(keks.active, dek, mine)
  const asked = () => keks.unwrap(keks.active, wrapped, mine)
  await t.rejects(transitKekProvider({ ...options, key: 'transit/none' }), { message: /there is no transit key/ })
  await t.rejects(transitKekProvider({ ...options, key: 'transit/convergent' }), { message: /not of a type/ })
  await t.rejects(transitKekProvider({ ...options, egress: egressPolicy([]) }), { message: /egress policy/ })
  state.token = 'another'
  await t.rejects(asked(), KekUnavailable)
  t.match(await keks.health(), { ok: false, detail: /token is not accepted/ })
  state.sealed = true
  await t.rejects(asked(), { name: 'KekUnavailable', message: /status 503/ })
  await stop()
  await t.rejects(asked(), { name: 'KekUnavailable', message: /refused the connection/ })
})

t.test('kms: what is signed wrongly or for a disabled key is refused, and says nothing about the key', async t => {
  const { url, account, addKey, keys } = await startAwsKms(t)
  const arn = addKey()
  const options = {
    ...{ keys: [arn], accessKeyId: account.accessKeyId, secretAccessKey: new Secret(account.secretAccessKey) },
    ...{ sessionToken: new Secret(account.sessionToken), endpoint: url, egress: loopback },
  }
  const wrapped = await kmsKekProvider(options).wrap(arn, dek, mine)
  const wrong = {
    'another secret': { secretAccessKey: new Secret('x') },
    'another key id': { accessKeyId: 'AKIAX' },
    'no session': { sessionToken: undefined },
    'a closed address': { egress: egressPolicy([]) },
  }
  for (const [what, change] of Object.entries(wrong))
    await t.rejects(kmsKekProvider({ ...options, ...change }).unwrap(arn, wrapped, mine), KekUnavailable, what)
  keys.set(arn, { secret: randomBytes(32), state: 'PendingDeletion' })
  await t.rejects(kmsKekProvider(options).unwrap(arn, wrapped, mine), KekUnavailable)
  t.match(await kmsKekProvider(options).health(), { ok: false, detail: 'the key is PendingDeletion' })
  keys.delete(arn)
  await t.rejects(kmsKekProvider(options).unwrap(arn, wrapped, mine), UnknownKek)
})

t.test('the configuration says which provider, and what is missing for it', async t => {
  const { url, token, addKey } = await startHashicorpVault(t)
  addKey('opsconductor')
  const open = (settings: Record<string, string>) =>
    openKek(loadConfig(settings), { secretsExist: false, now }, silent).then(({ active }) => active)
  const provider = (OPSCONDUCTOR_KEK_PROVIDER: string) => ({ OPSCONDUCTOR_KEK_PROVIDER })
  await t.rejects(open(provider('environment')), { message: /OPSCONDUCTOR_KEK_KEYS is needed/ })
  t.equal(await open({ ...provider('environment'), OPSCONDUCTOR_KEK_KEYS: listed('new', 'old') }), 'new')
  await t.rejects(open(provider('vault-transit')), { message: /OPSCONDUCTOR_HASHICORP_VAULT_URL is needed/ })
  const vault = {
    ...{ OPSCONDUCTOR_HASHICORP_VAULT_URL: url, OPSCONDUCTOR_HASHICORP_VAULT_TOKEN: token },
    ...provider('vault-transit'),
  }
  await t.rejects(open(vault), { message: /egress policy/ }, 'loopback is closed unless opened')
  t.equal(await open({ ...vault, OPSCONDUCTOR_VAULT_EGRESS_ALLOW: '127.0.0.1' }), 'transit:transit/opsconductor:v1')
  await t.rejects(open(provider('aws-kms')), { message: /a list of key ARNs/ })
  const arn = 'arn:aws:kms:eu-central-1:111122223333:key/0c2d'
  const aws = { ...provider('aws-kms'), OPSCONDUCTOR_KEK_KMS_KEYS: arn, OPSCONDUCTOR_AWS_ACCESS_KEY_ID: 'AKIA' }
  await t.rejects(open(aws), { message: /OPSCONDUCTOR_AWS_SECRET_ACCESS_KEY is needed/ })
  t.equal(await open({ ...aws, OPSCONDUCTOR_AWS_SECRET_ACCESS_KEY: 'x' }), arn)
})
