import { execFile } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { createPool } from '../infra/postgres.ts'
import { streams } from '../schemas/events.ts'
import { until } from '../test/support/process.ts'
import { contentOf, finds } from '../test/support/traces.ts'
import { type Ask, vaultBench } from '../test/support/vault.ts'

const bench = await vaultBench(t)
const anna = bench.identity('anna')
const database = createPool(bench.databaseUrl, bench.log)
t.teardown(() => database.end())
const kekFile = `${bench.settings.OPSCONDUCTOR_DATA_DIR}-keys/kek.json`
const password = (text: string) => ({ kind: 'password' as const, password: text })

/** Everything that crosses the broker, as text. */
const overheard: string[] = []
bench.bus.subscribe('>', message => void overheard.push(Buffer.from(message.data).toString('latin1')))

async function claimedAsk(secret = password('open sesame'), versions = 1): Promise<Ask> {
  const credentialId = randomUUID()
  for (let version = 1; version <= versions; version += 1) await bench.addVersion(credentialId, version, secret)
  const of = { runId: randomUUID(), n: 0, epoch: 1, executorId: 'anna', credentialId, version: versions }
  await bench.claim(of, anna)
  return of
}

/** Starts a vault, works with it and stops it again. */
async function withVault<T>(work: () => Promise<T>): Promise<T> {
  const vault = await bench.startVault()
  try {
    return await work()
  } finally {
    await vault.stop()
  }
}

type KekFile = { active: string; keks: { id: string; key: string; createdAt: string }[] }
const readKeks = (): KekFile => JSON.parse(readFileSync(kekFile, 'utf8'))
const writeKeks = (file: unknown) => writeFileSync(kekFile, JSON.stringify(file), { mode: 0o600 })
const anotherKek = (id: string) => ({ id, key: randomBytes(32).toString('base64'), createdAt: '2030-01-01T00:00:00Z' })

t.test('before the first secret the key may be made, lost and replaced', async t => {
  const publicKeys = new Set<string>()
  const start = () => withVault(async () => void publicKeys.add((await bench.publicKey()).publicKey))
  await Promise.all([start(), start()])
  t.equal(publicKeys.size, 1, 'vaults that start together agree')
  t.equal(statSync(kekFile).mode & 0o777, 0o600)
  t.match(bench.lines.join(''), /made a new key-encryption key: back it up/)
  const first = readKeks()
  t.notMatch(bench.lines.join(''), first.keks[0]?.key)
  rmSync(kekFile)
  await start()
  t.not(readKeks().active, first.active)
  t.equal(publicKeys.size, 2, 'and nothing of the old key is kept')
})

t.test('once a secret is sealed only its own key will do', async t => {
  const of = await withVault(() => claimedAsk())
  const good = readKeks()
  const key = good.keks[0]?.key ?? ''
  const only = (kek: object) => ({ active: good.active, keks: [{ ...good.keks[0], ...kek }] })
  const stranger = anotherKek('kek-stranger')
  const refused = async (what: string, why: RegExp) => {
    await t.rejects(bench.startVault(), { message: why }, what)
    t.notMatch(bench.lines.join(''), key, `${what}: no key in the log`)
  }
  rmSync(kekFile)
  await refused('no key', /there are sealed secrets, but no key-encryption key file/)
  t.notOk(existsSync(kekFile), 'and none is made')
  writeKeks({ active: stranger.id, keks: [stranger] })
  await refused('the key of another installation', /sealed with the key kek-[0-9a-f]{12}, which is missing/)
  writeKeks(only({ key: stranger.key }))
  await refused('another key of the same name', /is not the one secrets were sealed with/)
  writeKeks(only({ key: Buffer.alloc(32).toString('base64') }))
  await refused('a key of zeros', /is no key: all its bytes are equal/)
  writeKeks(only({ key: randomBytes(16).toString('base64') }))
  await refused('half a key', /has 16 bytes/)
  writeKeks(good)
  chmodSync(kekFile, 0o644)
  await refused('a key that everybody can read', /can be read by others/)
  chmodSync(kekFile, 0o600)
  const inside = join(bench.settings.OPSCONDUCTOR_DATA_DIR, 'kek.json')
  mkdirSync(bench.settings.OPSCONDUCTOR_DATA_DIR, { recursive: true })
  writeKeks(good)
  writeFileSync(inside, readFileSync(kekFile), { mode: 0o600 })
  await t.rejects(bench.startVault({ OPSCONDUCTOR_KEK_FILE: inside }), { message: /must lie outside/ })
  t.same((await withVault(() => bench.ask(of, anna))).secret, password('open sesame'), 'its own key opens')
})

t.test('the role ends with an error and says why', async t => {
  const good = readKeks()
  writeKeks({ ...good, keks: good.keks.map(kek => ({ ...kek, key: Buffer.alloc(32).toString('base64') })) })
  const entry = fileURLToPath(new URL('../opsconductor.js', import.meta.url))
  const { code, output } = await new Promise<{ code: unknown; output: string }>(resolve =>
    execFile(process.execPath, [entry, 'vault'], { env: bench.settings, timeout: 30_000 }, (err, stdout, stderr) =>
      resolve({ code: err?.code, output: stdout + stderr }),
    ),
  )
  t.equal(code, 1)
  t.match(output, /vault could not start/)
  t.match(output, /is no key: all its bytes are equal/)
  writeKeks(good)
})

t.test('a second key takes over, and the first is needed until nothing uses it', async t => {
  const old = readKeks()
  const fresh = anotherKek('kek-fresh')
  const before = await withVault(() => claimedAsk(password('sealed under the old key')))
  writeKeks({ active: fresh.id, keks: [fresh] })
  await t.rejects(bench.startVault(), { message: /which is missing/ })
  writeKeks({ active: fresh.id, keks: [...old.keks, fresh] })
  await withVault(async () => {
    t.same((await bench.ask(before, anna)).secret, password('sealed under the old key'))
    t.equal((await bench.seal(randomUUID(), 1, password('new'))).kekId, 'kek-fresh')
    await until('the new key wraps everything', async () =>
      (await bench.store.read(streams.kek('kek-fresh'))).events.some(({ type }) => type === 'KekRotationCompleted'),
    )
  })
  writeKeks({ active: fresh.id, keks: [fresh] })
  await withVault(async () => t.same((await bench.ask(before, anna)).secret, password('sealed under the old key')))
})

t.test('restored into a new database, the vault goes on', async t => {
  const of = await withVault(() => claimedAsk(password('older than the database')))
  await database.query("delete from public.schema_migration where name like 'vault-%'")
  await withVault(async () => t.same((await bench.ask(of, anna)).secret, password('older than the database')))
})

t.test("a vault whose own keys were taken away or changed doesn't start", async t => {
  const client = await database.connect()
  await client.query('create table saved as select * from vault.own_key')
  await client.query('delete from vault.own_key')
  await t.rejects(bench.startVault(), { message: /the vault's own keys are gone/ })
  await client.query("insert into vault.own_key select * from saved where name = 'hpke'")
  await t.rejects(bench.startVault(), { message: /own key fingerprint is gone/ })
  await client.query(
    "insert into vault.own_key select 'fingerprint', kek_id, wrapped, created_at from saved where name = 'hpke'",
  )
  await t.rejects(bench.startVault(), { message: /own key fingerprint is damaged/ }, 'one key in the place of another')
  await client.query('delete from vault.own_key')
  await client.query('insert into vault.own_key select * from saved')
  await client.query('drop table saved')
  client.release()
  await withVault(() => bench.publicKey())
})

t.test('a row moved to another place in the database does not open, and the alarm is in the log', async t => {
  const content = 'wrapped_dek, iv, ciphertext, tag'
  const from = 'f.wrapped_dek, f.iv, f.ciphertext, f.tag'
  const sealId = (of: Ask) => sealIdOf(bench, of)
  await withVault(async () => {
    const victim = await claimedAsk(password('of the victim'), 2)
    const own = await claimedAsk(password('of the thief'))
    const moves: [string, string, string[]][] = [
      [
        'the content of another credential',
        `update vault.secret s set (${content}) = (select ${from} from vault.secret f where f.seal_id = $2) where s.seal_id = $1`,
        [await sealId(own), await sealId(victim)],
      ],
      [
        'the content of an older version',
        `update vault.secret s set (${content}) = (select ${from} from vault.secret f where f.seal_id = $2) where s.seal_id = $1`,
        [await sealId(victim), await sealId({ ...victim, version: 1 })],
      ],
      [
        'a byte changed',
        'update vault.secret set ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1) where seal_id = $1',
        [await sealId(victim)],
      ],
      ['a row removed', 'delete from vault.secret where seal_id = $1', [await sealId(victim)]],
    ]
    for (const [what, sql, values] of moves) {
      const client = await database.connect()
      await client.query('create table if not exists saved as select * from vault.secret')
      t.equal((await client.query(sql, values)).rowCount, 1, what)
      const of = values[0] === (await sealId(own)) ? own : victim
      const answer = await bench.ask(of, anna)
      t.equal(answer.error, 'damaged-secret', what)
      t.notOk('secret' in answer)
      t.match((await bench.released(of)).at(-1), { type: 'CredentialReleaseDenied', data: { code: 'damaged-secret' } })
      t.match(bench.lines.at(-1), /"level":50.*a stored secret is damaged or was tampered with/)
      await client.query('delete from vault.secret')
      await client.query('insert into vault.secret select * from saved')
      await client.query('drop table saved')
      client.release()
      t.match((await bench.ask(of, anna)).secret, { kind: 'password' }, 'and opens again when put back')
    }
  })
})

async function sealIdOf({ store }: typeof bench, of: Ask): Promise<string> {
  const { events } = await store.read(streams.credential(of.credentialId))
  for (const event of events) {
    if (event.type === 'CredentialVersionAdded' && event.data.version === of.version) return event.data.sealId
  }
  throw new Error('no such version')
}

t.test('a secret is nowhere to be found but in the hands of its executor', async t => {
  const canary = `canary-${randomBytes(12).toString('hex')}-ÄÖ"\\`
  const of = await withVault(async () => {
    const of = await claimedAsk(password(canary))
    t.same((await bench.ask(of, anna)).secret, password(canary))
    await refusals(of, canary)
    await database.query('create table damaged as select * from vault.secret')
    await database.query('update vault.secret set tag = iv')
    t.equal((await bench.ask(of, anna)).error, 'damaged-secret')
    await database.query('drop table damaged')
    await bench.events.stop()
    t.equal((await bench.ask(of, anna)).error, 'unavailable')
    await bench.events.restart()
    return of
  })
  const places: Record<string, string> = {
    'log lines': bench.lines.join('\n'),
    'the broker': overheard.join('\n'),
    'files of the event store': contentOf(bench.events.dataDir),
    'tables of the vault': await dump(t),
  }
  t.ok(finds(`x${canary}x`, canary), 'raw text would be found')
  t.ok(finds(Buffer.from(`{"x":"${canary}"}`).toString('base64'), canary), 'base64 would be found')
  for (const [place, content] of Object.entries(places)) {
    t.ok(content.includes(of.credentialId), `${place}: the search looks at the right place`)
    t.notOk(finds(content, canary), `${place}: no trace of the secret`)
  }
})

/** Every way to get a refusal out of the vault with the secret in hand. */
async function refusals(of: Ask, canary: string): Promise<void> {
  const kind = { ...of, kind: 'password' as const }
  const good = JSON.stringify(password(canary))
  const { credentialId, version } = kind
  const to = { credentialId, version, kind: kind.kind }
  await bench.sealRaw(to, canary)
  await bench.sealRaw(to, `{"kind":"password","password":"${canary}`)
  await bench.sealRaw(to, JSON.stringify({ ...password(canary), [canary]: 1 }))
  await bench.sealRaw(to, good, { kind: 'ssh-key' })
  await bench.sealRaw(to, good, { keyId: 'another' })
  await bench.sealRaw(to, good, { version: 9 })
  await bench.sealRaw(to, JSON.stringify({ kind: 'ssh-key', privateKey: canary.repeat(2) }), { kind: 'ssh-key' })
  const framed = `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----`
  await bench.sealRaw(to, JSON.stringify({ kind: 'ssh-key', privateKey: framed }), { kind: 'ssh-key' })
  await bench.sealRaw(to, good, { version: 0 }).catch(() => undefined)
  await bench.ask({ ...of, epoch: 2 }, anna)
  await bench.ask(of, bench.identity('bert'))
}

async function dump(t: Test): Promise<string> {
  const { rows } = await database.query("select tablename from pg_tables where schemaname = 'vault'")
  const names = rows.map(row => row.tablename)
  for (const known of ['kek', 'own_key', 'secret', 'subject', 'verifier']) t.ok(names.includes(known), known)
  const tables = rows.map(row => database.query(`select * from vault.${row.tablename}`))
  return (await Promise.all(tables))
    .flatMap(({ rows }) => rows)
    .flatMap(row => Object.values(row))
    .map(value => (Buffer.isBuffer(value) ? `${value.toString('latin1')} ${value.toString('hex')}` : String(value)))
    .join('\n')
}

// The parts started above keep the process alive: say that this was all.
t.end()
