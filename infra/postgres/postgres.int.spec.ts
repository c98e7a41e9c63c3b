import { once } from 'node:events'
import pg from 'pg'
import pino from 'pino'
import t, { type Test } from 'tap'
import { freshDatabase } from '../../test/support/postgres.ts'
import {
  advisoryLock,
  createPipelined,
  createPool,
  inTransaction,
  isUnavailable,
  MigrationChanged,
  migrate,
  PostgresUnavailable,
  waitForPostgres,
  whileLeading,
} from '../postgres.ts'

const log = pino({ level: 'silent' })

async function pool(t: Test, url: string) {
  const made = createPool(url, log)
  t.teardown(() => made.end())
  return made
}

/** Cuts every connection whose application name begins like this, as a restarted server would. */
async function cut(url: string, name: string) {
  const admin = new pg.Client(url)
  await admin.connect()
  await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name like $1', [
    `${name}%`,
  ])
  await admin.end()
}

t.test('migrations are applied once, by however many processes, and never in another wording', async t => {
  const { url } = await freshDatabase(t)
  const db = await pool(t, url)
  await Promise.all([migrate(db, log), migrate(db, log), migrate(db, log)])
  const { rows } = await db.query('select name from public.schema_migration order by name')
  t.same(
    rows.map(row => row.name),
    ['001-run-output', '002-reactor-checkpoint', '003-artifacts', '004-executor-presence'],
  )
  await t.rejects(migrate(db, log, [{ name: '001-run-output', sql: 'select 1' }]), MigrationChanged)
  const broken = [{ name: '900-broken', sql: 'create table half (id int); select nonsense' }]
  await t.rejects(migrate(db, log, broken))
  t.equal((await db.query(`select to_regclass('half') as made`)).rows[0].made, null, 'nothing of it stays')
})

t.test('output of a run is numbered without holes and becomes visible in that order', async t => {
  const { url } = await freshDatabase(t)
  const db = await pool(t, url)
  await migrate(db, log)
  const run = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
  const insert = (on: Pick<pg.Pool, 'query'>, seq: number) =>
    on.query(
      `insert into output.run_output (run_id, n, step_id, attempt, epoch, seq, stream, byte_offset, at, data)
       values ($1, 0, 'a', 1, 1, $2, 'stdout', 0, '2026-01-01T00:00:00Z', 'x') returning output_seq`,
      [run, seq],
    )
  const first = await db.connect()
  await first.query('begin')
  t.equal((await insert(first, 1)).rows[0].output_seq, '1')
  const second = insert(db, 2)
  const seen = await db.query('select output_seq from output.run_output')
  t.equal(seen.rowCount, 0, 'the later number waits for the earlier')
  await first.query('commit')
  first.release()
  t.equal((await second).rows[0].output_seq, '2')
})

t.test('a transaction commits as a whole or not at all', async t => {
  const { url } = await freshDatabase(t)
  const db = await pool(t, url)
  await db.query('create table a (id int primary key)')
  await inTransaction(db, c => c.query('insert into a values (1)'))
  await t.rejects(
    inTransaction(db, async c => {
      await c.query('insert into a values (2)')
      await c.query('insert into a values (1)')
    }),
  )
  t.equal((await db.query('select * from a')).rowCount, 1)
})

t.test('a pipelined batch fails as a whole and the connection comes back after a break', async t => {
  const { url } = await freshDatabase(t)
  const line = createPipelined(url, log, { name: 'pipe', setup: `set synchronous_commit = off` })
  t.teardown(() => line.close())
  await line.query({ text: 'create table a (id int primary key)' })
  const insert = (id: number) => ({ text: 'insert into a values ($1)', values: [id] })
  await line.batch([{ text: 'begin' }, insert(1), insert(2), { text: 'commit' }])
  await t.rejects(line.batch([{ text: 'begin' }, insert(3), insert(1), insert(4), { text: 'commit' }]), {
    code: '23505',
  })
  t.equal((await line.query({ text: 'select * from a' })).rowCount, 2)
  await cut(url, 'pipe')
  const broken = await line.query({ text: 'select 1' }).catch(error => error)
  if (broken instanceof Error) t.ok(isUnavailable(broken), broken.message)
  t.same((await line.query({ text: 'show synchronous_commit' })).rows, [{ synchronous_commit: 'off' }])
})

t.test('one holder per lock; the next one follows when it is lost', async t => {
  const { url } = await freshDatabase(t)
  const first = await advisoryLock(url, 'state')
  const giveUp = new AbortController()
  const impatient = advisoryLock(url, 'state', { signal: giveUp.signal })
  giveUp.abort()
  await t.rejects(impatient)
  // Waiting, it may be cut off as well.
  const second = advisoryLock(url, 'state').catch(() => advisoryLock(url, 'state'))
  const other = await advisoryLock(url, 'audit')
  await other.release()
  await cut(url, 'opsconductor lock state')
  t.ok(first.lost.aborted || (await once(first.lost, 'abort')), 'the holder is told')
  const next = await second
  await next.release()
})

t.test('work goes on in one process at a time and starts again after a failure', async t => {
  const { url } = await freshDatabase(t)
  const stop = new AbortController()
  let active = 0
  let rounds = 0
  const work = async () => {
    active += 1
    t.equal(active, 1)
    rounds += 1
    if (rounds === 3) stop.abort()
    await new Promise(resolve => setImmediate(resolve))
    active -= 1
    throw new Error('failed')
  }
  const options = { url, name: 'work', log, signal: stop.signal }
  await Promise.all([whileLeading(options, work), whileLeading(options, work)])
  t.equal(rounds, 3)
})

t.test('unavailable is told from wrong', async t => {
  const { url } = await freshDatabase(t)
  const gone = new URL(url)
  gone.searchParams.set('host', '/nonexistent')
  const nobody = await pool(t, gone.href)
  await t.rejects(waitForPostgres(nobody, log, 100), PostgresUnavailable)
  const unknown = new URL(url)
  unknown.pathname = '/nothing'
  await t.rejects(waitForPostgres(await pool(t, unknown.href), log), { code: '3D000' }, 'waiting would not help')
  const db = await pool(t, url)
  t.notOk(isUnavailable(await db.query('select nonsense').catch(error => error)))
  t.ok(isUnavailable(await db.query(`do $$ begin raise exception sqlstate '40001'; end $$`).catch(error => error)))
})
