import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { programOrSkip } from '../../../test/support/packages.ts'
import { freshDatabase, startPostgres } from '../../../test/support/postgres.ts'
import { until } from '../../../test/support/process.ts'
import { isAlive } from '../../../test/support/process-tree.ts'
import { postgresBinaries } from './binaries.ts'
import { dataPath, serverEnvironment } from './cluster.ts'
import { serverOwner } from './owner.ts'
import { type PostgresOptions, type RunningPostgres, runPostgres } from './run.ts'

const log = pino({ level: 'silent' })
const script = fileURLToPath(new URL('../../../test/support/postgres-process.js', import.meta.url))

// Not t.testdir: the path of a Unix socket must be short.
function folder(t: Test): string {
  const made = mkdtempSync(path.join(tmpdir(), 'opsc-pg-'))
  t.teardown(() => rmSync(made, { recursive: true, force: true }))
  return made
}

async function run(t: Test, dataDir: string, options: Partial<PostgresOptions> = {}): Promise<RunningPostgres> {
  const server = await runPostgres({ dataDir, log, durable: false, ...options })
  t.teardown(() => server.stop())
  return server
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

async function launch(t: Test, options: object): Promise<{ child: ChildProcess; pid: number; url: string }> {
  const child = spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = await once(createInterface(child.stdout), 'line')
  return { child, ...JSON.parse(line) }
}

t.test('a spec file has one server and as many databases as it asks for', async t => {
  const first = await freshDatabase(t)
  const second = await freshDatabase(t)
  t.not(first.url, second.url)
  t.equal((await startPostgres(t)).pid, (await startPostgres(t)).pid)
  const facts = `select current_setting('server_encoding') as encoding, datcollate as locale,
    (select count(*)::int from pg_tables where schemaname = 'public') as tables
    from pg_database where datname = current_database()`
  for (const { url } of [first, second]) {
    t.same(await query(url, facts), [{ encoding: 'UTF8', locale: 'C', tables: 0 }])
  }
})

t.test('what was committed is there after a stop and after a kill, at the same URL', async t => {
  const dataDir = folder(t)
  const first = await run(t, dataDir, { durable: true })
  await query(first.url, 'create table kept as select 1 as n')
  await first.stop()
  t.notOk(isAlive(first.pid))

  const second = await run(t, dataDir, { durable: true })
  t.equal(second.url, first.url)
  await query(second.url, 'insert into kept values (2)')
  process.kill(second.pid, 'SIGKILL')
  await second.exited

  const third = await run(t, dataDir, { durable: true })
  t.same(await query(third.url, 'select n from kept order by n'), [{ n: 1 }, { n: 2 }])
})

t.test('it is reached through its socket only, and only by its owner', async t => {
  const dataDir = folder(t)
  const server = await run(t, dataDir)
  t.equal(statSync(path.join(dataDir, 'socket')).mode & 0o777, 0o700)
  t.same(await query(server.url, 'show listen_addresses'), [{ listen_addresses: '' }])
})

t.test('no statement and no value of one gets into the log', async t => {
  const lines: string[] = []
  const loud = pino({ level: 'debug' }, { write: (line: string) => lines.push(line) })
  const server = await run(t, folder(t), { log: loud })
  await query(server.url, 'create table person (name text unique)')
  await query(server.url, "insert into person values ('Ada')")
  await t.rejects(query(server.url, "insert into person values ('Ada')"), { code: '23505' })
  await server.stop()
  t.match(lines.join(''), /ready to accept connections/)
  t.notMatch(lines.join(''), /Ada|duplicate key/)
})

t.test('a server does not outlive a launcher that was killed', async t => {
  for (const guard of ['parent-death-signal', 'pipe']) {
    const { child, pid } = await launch(t, { dataDir: folder(t), durable: false, guard })
    t.ok(isAlive(pid))
    child.kill('SIGKILL')
    await until(`the server under ${guard} is gone`, () => !isAlive(pid))
    t.notOk(isAlive(pid), guard)
  }
})

t.test('under the pipe guard, too, stop means stop', async t => {
  const server = await run(t, folder(t), { guard: 'pipe' })
  t.same(await query(server.url, 'select 1 as n'), [{ n: 1 }])
  await server.stop()
  t.notOk(isAlive(server.pid))
})

t.test('a pid file that names a stranger is no obstacle', async t => {
  const dataDir = folder(t)
  await (await run(t, dataDir)).stop()
  // Our own pid: alive, and no server on that folder.
  writeFileSync(path.join(dataDir, 'cluster/postmaster.pid'), `${process.pid}\n${dataDir}/cluster\n`)
  const server = await run(t, dataDir)
  t.same(await query(server.url, 'select 1 as n'), [{ n: 1 }])
})

t.test('a server left over on the folder is stopped first', async t => {
  const dataDir = folder(t)
  await (await run(t, dataDir)).stop()
  const owner = serverOwner()
  const cluster = path.join(dataDir, 'cluster')
  const program = path.join(postgresBinaries(dataDir, owner), 'postgres')
  const args = ['-D', dataPath({ owner, cluster }), '-k', '../socket', '-c', 'listen_addresses=']
  const options = { ...owner, cwd: cluster, env: serverEnvironment() }
  const leftover = spawn(program, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => leftover.kill('SIGKILL'))
  const gone = once(leftover, 'exit')
  for await (const line of createInterface(leftover.stderr)) if (/ready to accept/.test(line)) break

  const server = await run(t, dataDir)
  await gone
  t.not(server.pid, leftover.pid)
  t.same(await query(server.url, 'select 1 as n'), [{ n: 1 }])
})

t.test('a second launcher on the same folder is refused', async t => {
  const dataDir = folder(t)
  await run(t, dataDir)
  await t.rejects(runPostgres({ dataDir, log }), { name: 'FolderInUse', pid: process.pid })
})

t.test('an initialisation that was cut short is done again', async t => {
  const dataDir = folder(t)
  mkdirSync(path.join(dataDir, 'cluster.new/base'), { recursive: true })
  writeFileSync(path.join(dataDir, 'cluster.new/PG_VERSION'), '18\n')
  const server = await run(t, dataDir)
  t.same(await query(server.url, 'select current_database() as name'), [{ name: 'opsconductor' }])
})

t.test('the data may lie where the account of the server may not go', async t => {
  const closed = folder(t)
  chmodSync(closed, 0o700)
  const server = await run(t, path.join(closed, 'data'))
  t.same(await query(server.url, 'select 1 as n'), [{ n: 1 }])
})

t.test('a path that is too long for a socket is refused in plain words', async t => {
  const dataDir = path.join(folder(t), 'd'.repeat(100))
  await t.rejects(runPostgres({ dataDir, log }), /path is too long.*bytes.*107; set OPSCONDUCTOR_DATA_DIR/)
})

t.test("Debian's Postgres is launched the same way", async t => {
  const initdb = programOrSkip(t, 'postgresql')
  if (!initdb) return
  const dataDir = folder(t)
  chmodSync(dataDir, 0o755)
  const server = await run(t, dataDir, { binDir: path.dirname(initdb) })
  t.match(await query(server.url, 'select version()'), [{ version: /Debian/ }])
  await server.stop()
  await t.rejects(run(t, dataDir), /did not start: .*incompatible/s, 'and its data are not taken by another version')
})
