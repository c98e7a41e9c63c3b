import { randomUUID } from 'node:crypto'
import t from 'tap'
import { systemClock } from '../../infra/clock.ts'
import { AppendOutcomeUnknown } from '../../infra/event-store/port.ts'
import { systemIds } from '../../infra/ids.ts'
import { createPool } from '../../infra/postgres.ts'
import { type Recorded, streams } from '../../schemas/events.ts'
import { until } from '../../test/support/process.ts'
import { startRole } from '../../test/support/role.ts'
import { type Ask, vaultBench } from '../../test/support/vault.ts'
import { sealEnvelope } from '../envelope.ts'
import { fileKekProvider } from '../kek/file.ts'
import { registering } from '../kek/registering.ts'
import { secretStore } from '../secret-store.ts'
import { kekHistory } from './history.ts'
import { destroyKek, kekUses, renewKek } from './operator.ts'
import { rewrapAll } from './rewrap.ts'

const bench = await vaultBench(t)
const anna = bench.identity('anna')
const pool = createPool(bench.databaseUrl, bench.log)
t.teardown(() => pool.end())
const dataDir = bench.settings.OPSCONDUCTOR_DATA_DIR
const password = (text: string) => ({ kind: 'password' as const, password: text })

const keksOf = () => registering(fileKekProvider(`${dataDir}-keys/kek.json`, { dataDir }), pool, systemClock)
const history = kekHistory(bench.store, systemClock)
/** As the operator's tool does it. */
const renew = () => renewKek({ pool, keks: keksOf(), history, clock: systemClock }, 'yearly rotation')
const destroy = (kekId: string, now = '2099-01-01T00:00:00.000Z') => {
  const clock = { ...systemClock, now: () => now }
  return destroyKek({ pool, keks: keksOf(), history, clock, ids: systemIds }, kekId, 'nothing uses it')
}
const told = async (kekId: string): Promise<Recorded[]> => (await bench.store.read(streams.kek(kekId))).events
const typesOf = async (kekId: string) => (await told(kekId)).map(({ type }) => type)
const completed = (kekId: string) => async () => (await typesOf(kekId)).includes('KekRotationCompleted')

async function claimed(secret = password('open sesame')): Promise<Ask> {
  const credentialId = randomUUID()
  await bench.addVersion(credentialId, 1, secret)
  const of = { runId: randomUUID(), n: 0, epoch: 1, executorId: 'anna', credentialId, version: 1 }
  await bench.claim(of, anna)
  return of
}

/** Sealed without the vault's asking: many, fast. Not named by any event. */
async function fill(count: number): Promise<string[]> {
  const [keks, secrets] = [keksOf(), secretStore(pool)]
  const names = Array.from({ length: count }, () => ({ credentialId: randomUUID(), version: 1, sealId: randomUUID() }))
  for (const name of names) {
    const envelope = await sealEnvelope(keks, name, Buffer.from(name.sealId))
    await secrets.keep({ ...envelope, fingerprint: name.sealId }, systemClock.now())
  }
  return names.map(({ sealId }) => sealId)
}

t.test('a running vault goes over to a new key, answering all the while', async t => {
  const vault = await bench.startVault()
  const of = await claimed()
  const asked = [await bench.ask(of, anna)]
  const first = keksOf().active
  await until('the first key is told of', async () => (await typesOf(first)).includes('KekActivated'))
  await fill(350)
  const { kekId, from } = await renew()
  t.equal(from, first)
  const done = completed(kekId)
  await until('everything is wrapped anew', async () => {
    asked.push(await bench.ask(of, anna))
    return await done()
  })
  t.ok(asked.length > 1)
  for (const { secret } of asked) t.same(secret, password('open sesame'), 'readable before, during and after')
  t.equal((await bench.seal(randomUUID(), 1, password('new'))).kekId, kekId)
  const events = await told(kekId)
  t.match(events.find(({ type }) => type === 'KekRotationRequested')?.data, { from: first, reason: 'yearly rotation' })
  const batches = events.flatMap(event => (event.type === 'CredentialKeyRewrapped' ? [event.data] : []))
  t.match(batches[0], { holder: 'own-key', from: first, count: 2, keys: ['fingerprint', 'hpke'] })
  t.same(
    batches.slice(1).map(({ count }) => count),
    [100, 100, 100, 51],
  )
  t.same(events.at(-1)?.data, { kekId, damaged: 0 })
  t.match(await kekUses(pool, keksOf()), [
    { kekId, active: true, held: true, wraps: { credential: 352, 'own-key': 2 } },
    { kekId: first, active: false, held: true, wraps: {} },
  ])

  t.match(await destroy(first, systemClock.now()), /less than a minute ago/)
  t.match(await destroy(kekId), /is the active key/)
  t.match(await destroy('kek-nobody'), /there is no key/)
  t.equal(await destroy(first), undefined)
  t.match((await told(first)).at(-1), { type: 'KekDestroyed', data: { kekId: first, reason: 'nothing uses it' } })
  t.same(keksOf().ids(), [kekId])
  t.same((await bench.ask(of, anna)).secret, password('open sesame'), 'what was sealed under it still opens')
  await vault.stop()
  const again = await bench.startVault()
  t.same((await bench.ask(of, anna)).secret, password('open sesame'), 'after a restart as well')
  await again.stop()
})

t.test('a vault that is killed again and again ends with everything wrapped anew, each key once', async t => {
  const sealIds = await fill(1_500)
  const { kekId, from } = await renew()
  const batches = async () => (await typesOf(kekId)).filter(type => type === 'CredentialKeyRewrapped').length
  const done = completed(kekId)
  let kills = 0
  for (; kills < 3; kills += 1) {
    const before = await batches()
    const role = await startRole(t, 'vault', bench.settings)
    await until('some more batches are done', async () => (await batches()) > before + 1 || (await done()))
    await role.kill9()
  }
  const last = await bench.startVault()
  await until('everything is wrapped anew', done)
  const { rows } = await pool.query<{ kek_id: string }>('select distinct kek_id from vault.secret')
  t.same(rows, [{ kek_id: kekId }])
  const events = (await told(kekId)).flatMap(event => (event.type === 'CredentialKeyRewrapped' ? [event.data] : []))
  const rewrapped = events.flatMap(({ keys }) => keys)
  t.equal(new Set(rewrapped).size, rewrapped.length, 'no batch is told of twice')
  t.ok(
    sealIds.every(sealId => rewrapped.includes(sealId)),
    'and each key is in one',
  )
  t.equal(await destroy(from), undefined)
  await last.stop()
})

t.test('wherever one batch ends before its time, the next attempt does exactly what is left', async t => {
  await fill(30)
  const { kekId } = await renew()
  const deps = { pool, keks: keksOf(), history, log: bench.log, signal: new AbortController().signal }
  const before = await pool.query('select seal_id, kek_id, wrapped_dek from vault.secret order by seal_id')
  const untouched = async (what: string) =>
    t.same(
      (await pool.query('select seal_id, kek_id, wrapped_dek from vault.secret order by seal_id')).rows,
      before.rows,
      what,
    )
  const lost = () => Promise.reject(new AppendOutcomeUnknown('the connection broke'))
  await t.rejects(rewrapAll({ ...deps, history: { ...history, rewrapped: lost } }))
  await untouched('an event that may not be there: nothing is changed')
  const dies = async (data: Parameters<typeof history.rewrapped>[0]) => {
    await history.rewrapped(data)
    await lost()
  }
  await t.rejects(rewrapAll({ ...deps, history: { ...history, rewrapped: dies } }))
  await untouched('an event that is there, and the process gone before its transaction')
  const { rows } = await pool.query<{ seal_id: string }>('select seal_id from vault.secret order by seal_id limit 1')
  const victim = rows[0]?.seal_id
  await pool.query(
    'update vault.secret set wrapped_dek = set_byte(wrapped_dek, 3, get_byte(wrapped_dek, 3) # 1) where seal_id = $1',
    [victim],
  )
  t.equal(await rewrapAll(deps), 1, 'one that does not open is left')
  t.match(bench.lines.join(''), new RegExp(`"key":"${victim}".*a wrapped key does not open`))
  const left = await pool.query<{ seal_id: string }>('select seal_id from vault.secret where kek_id <> $1', [kekId])
  t.same(left.rows, [{ seal_id: victim }])
  const ownKeys = (await told(kekId)).filter(
    event => event.type === 'CredentialKeyRewrapped' && event.data.holder === 'own-key',
  )
  t.equal(ownKeys.length, 1, 'the batch that was tried three times is one event')
  await pool.query('delete from vault.secret where seal_id = $1', [victim])

  const locked = await pool.connect()
  await locked.query('begin')
  await locked.query('select pg_advisory_xact_lock(1986098540)')
  t.equal(await rewrapAll(deps), undefined, 'another vault is at it')
  await locked.query('rollback')
  locked.release()
})

// The parts started above keep the process alive: say that this was all.
t.end()
