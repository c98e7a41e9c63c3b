import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pino from 'pino'
import t, { type Test } from 'tap'
import { type Bus, connectBus, subscribeJson } from '../infra/bus.ts'
import { loadConfig } from '../infra/config.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { createPool, type Pool } from '../infra/postgres.ts'
import { projected, subjects } from '../schemas/bus.ts'
import type { Recorded } from '../schemas/events.ts'
import { startBroker } from '../test/support/broker.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { asNew } from '../test/support/made-up-log.ts'
import { freshDatabase } from '../test/support/postgres.ts'
import { variedHistory } from '../test/support/varied-log.ts'
import { rebuildText, statusText } from './command.ts'
import { readHashes } from './compare.ts'
import { start } from './main.ts'
import { rebuild, status } from './maintenance.ts'
import { comparedTables, ensureReadModel, LIVE, OLD } from './schema.ts'

const ENTRY = fileURLToPath(new URL('../opsconductor.js', import.meta.url))
const log = pino({ level: 'silent' })
const LIMIT_MS = 60_000

type Parts = Awaited<ReturnType<typeof parts>>

/** A log, a database and a broker; the role under test is what brings them together. */
async function parts(t: Test) {
  const [{ url: postgres }, node, broker] = await Promise.all([freshDatabase(t), startEventStore(t), startBroker(t)])
  const store = connectEventStore(node.connectionString, { appendDeadlineMs: 30_000 })
  const pool = createPool(postgres, log, { max: 3 })
  t.teardown(async () => {
    await store.close()
    await pool.end()
  })
  const env = {
    OPSCONDUCTOR_EVENTSTORE_URL: node.connectionString,
    OPSCONDUCTOR_POSTGRES_URL: postgres,
    OPSCONDUCTOR_NATS_URL: broker.url,
    OPSCONDUCTOR_DATA_DIR: path.join(t.testdir({}), 'data'),
    OPSCONDUCTOR_LOG_LEVEL: 'silent',
  }
  return { node, broker, store, pool, env, postgres }
}

async function append(store: EventStore, events: readonly Recorded[]): Promise<void> {
  for (const event of events) {
    const expected = event.revision === 0n ? 'none' : event.revision - 1n
    await store.append(event.stream, [asNew(event)], expected)
  }
}

/** Waits until both projections have reached the end of the log. */
async function level({ store, pool }: Pick<Parts, 'store' | 'pool'>): Promise<void> {
  const head = await store.head()
  const deadline = Date.now() + LIMIT_MS
  for (;;) {
    const { rows } = await pool
      .query(`select count(*)::int as there from ${LIVE}.checkpoint where commit >= $1`, [head?.commit ?? -1n])
      .catch(() => ({ rows: [] }))
    if (rows[0]?.there === 2) return
    if (Date.now() > deadline) throw new Error('the projections did not catch up')
    await delay(20)
  }
}

function project(t: Test, env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, [ENTRY, 'projectors'], { env: { ...process.env, ...env }, stdio: 'ignore' })
  t.teardown(() => end(child, 'SIGKILL'))
  return child
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  await gone
}

const hashes = (pool: Pool) => readHashes(pool, LIVE, comparedTables)

t.test('killed, cut off and doubled, the projections lose and double nothing', async t => {
  const all = await parts(t)
  const { node, store, pool, broker, env } = all
  const { events } = variedHistory(600)
  let child = project(t, env)
  const second = project(t, env)
  const disturb = [
    () => end(child, 'SIGKILL'),
    async () =>
      void (await pool.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name like 'opsconductor projector%'`)),
    () => node.kill9().then(() => node.restart()),
    () => broker.kill9().then(() => broker.restart()),
    async () =>
      void (await pool.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name like 'opsconductor lock%'`)),
    () => end(second, 'SIGKILL'),
  ]
  const size = Math.ceil(events.length / (disturb.length + 1))
  for (let i = 0; i < events.length; i += size) {
    const trouble = disturb[i / size]
    const appending = append(store, events.slice(i, i + size))
    await (trouble === disturb[2] ? appending.then(trouble) : Promise.all([appending, trouble?.()]))
    if (child.signalCode !== null) child = project(t, env)
  }
  await level(all)
  const report = await rebuild(loadConfig(env), { verify: true })
  t.same(report.verified?.differences, [])
  t.equal(report.events, events.length)
  t.match(await status(loadConfig(env), 50), {
    projections: [
      { projection: 'state', events: events.length, lag: 0, haltedBy: null },
      { projection: 'audit', events: events.length, lag: 0, haltedBy: null },
    ],
    parked: [],
    current: true,
    oldKept: true,
  })
  await end(child, 'SIGTERM')
  t.equal(child.exitCode, 0, 'stops in order')
})

t.test('the operator’s command', async t => {
  const all = await parts(t)
  const { store, env } = all
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [ENTRY, 'projections', ...args], { env: { ...process.env, ...env } })
  await t.rejects(run('status'), { code: 2, stderr: /no projector ever ran here/ })
  await t.rejects(run('nonsense'), { code: 2, stderr: /projections rebuild \[--verify\]/ })
  await append(store, variedHistory(60).events)
  t.match((await run('rebuild')).stdout, /^\d+ events in .*\nThe rebuilt read models are live/)
  t.match(JSON.parse((await run('status', '--json')).stdout), { projections: [{ lag: 0 }, { lag: 0 }], oldKept: true })
  t.match((await run('status')).stdout, /^state +at \d+ of \d+ .*, lag 0, \d+ events/)
  t.match(JSON.parse((await run('rebuild', '--verify', '--drop-old', '--json')).stdout), {
    switched: true,
    verified: { equal: true },
  })
})

t.test('rebuilt under way: the live tables stay in use until equal ones take their place', async t => {
  const all = await parts(t)
  const { store, pool, env } = all
  const config = loadConfig(env)
  const { events } = variedHistory(300)
  await append(store, events.slice(0, 200))
  const role = await start(config, log)
  t.teardown(async () => {
    for (const stage of role.stop) await stage.run()
  })
  await level(all)
  const seen: string[] = []
  const onProgress = ({ position }: { position: string }) => void seen.push(position)
  const [report] = await Promise.all([rebuild(config, { verify: true, onProgress }), append(store, events.slice(200))])
  t.ok(report.switched)
  t.ok(seen.length > 0)
  await level(all)
  const before = await hashes(pool)
  t.same((await rebuild(config, { verify: true, dropOld: true })).verified?.differences, [])
  t.same(await hashes(pool), before)
  t.equal((await pool.query('select to_regclass($1) as old', [`${OLD}.meta`])).rows[0].old, null)
  t.ok((await role.ready()).every(check => check.ok))

  await pool.query(
    `update ${LIVE}.audit set actor_id = 'mallory' where commit = (select min(commit) from ${LIVE}.audit)`,
  )
  const tampered = await rebuild(config, { verify: true })
  t.notOk(tampered.switched, 'nothing is switched when the tables differ')
  t.match(tampered.verified?.differences, [{ table: 'audit' }])
  t.match(rebuildText(tampered), /audit .* DIFFERS\n/)
  t.match(rebuildText(report), /equal\nThe rebuilt read models are live/)
  const { rows } = await pool.query(`select actor_id from ${LIVE}.audit order by commit limit 1`)
  t.equal(rows[0].actor_id, 'mallory')
  t.ok((await rebuild(config)).switched, 'unless it is asked for without comparing')
  t.same(await hashes(pool), before)
})

t.test('whoever waits is told what was projected, soon', async t => {
  const all = await parts(t)
  const { store, broker, env } = all
  const bus: Bus = await connectBus({ url: broker.url, name: 'spec', log })
  t.teardown(() => bus.close())
  const told: Array<{ commit: string; runIds?: string[] | undefined }> = []
  subscribeJson(bus, subjects.projected, projected, message => void told.push(message))
  await bus.flush()
  const role = await start(loadConfig(env), log)
  const { events } = variedHistory(60)
  await append(store, events)
  await level(all)
  const head = await store.head()
  const deadline = Date.now() + LIMIT_MS
  while (!told.some(message => message.commit === String(head?.commit)) && Date.now() < deadline) await delay(10)
  t.equal(told.at(-1)?.commit, String(head?.commit))
  t.ok(told.some(message => (message.runIds ?? []).length > 0))
  for (const stage of role.stop) await stage.run()
})

t.test('tables of another version are rebuilt at the start', async t => {
  const all = await parts(t)
  const { store, pool, env } = all
  await append(store, variedHistory(60).events)
  await ensureReadModel(pool)
  await pool.query(`update ${LIVE}.meta set version = 'older'`)
  t.match(statusText(await status(loadConfig(env), 10)), /another version/)
  const role = await start(loadConfig(env), log)
  await level(all)
  t.ok((await status(loadConfig(env), 10)).current)
  for (const stage of role.stop) await stage.run()
})

t.test('what is missing is said plainly', async t => {
  await t.rejects(start(loadConfig({}), log), /OPSCONDUCTOR_EVENTSTORE_URL is needed/)
  await t.rejects(status(loadConfig({})), /does not run on this data folder/)
  const { env } = await parts(t)
  await t.rejects(status(loadConfig(env)), /no projector ever ran here/)
})
