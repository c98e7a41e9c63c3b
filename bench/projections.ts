import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { runPostgres } from '../infra/embedded/postgres/run.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { createLog } from '../infra/log.ts'
import { createPipelined, createPool } from '../infra/postgres.ts'
import { ensureReadModel } from '../projectors/schema.ts'
import type { Recorded } from '../schemas/events.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { type Emit, measurement } from './measurement.ts'
import { appendAll, bigLog } from './support/big-log.ts'
import { ending } from './support/system.ts'

const SMALL = 10_000
const LARGE = 200_000
const RUNS = 3
const BATCH = 500
const ENTRY = fileURLToPath(new URL('../opsconductor.js', import.meta.url))
const log = createLog('bench', 'silent')

/** How fast the read models are built anew from the log, and that the memory it takes does not grow with the log. */
export async function run(emit: Emit): Promise<void> {
  const folder = ending()
  try {
    const dataDir = mkdtempSync(path.join(tmpdir(), 'opsc-bench-'))
    folder.teardown(() => rmSync(dataDir, { recursive: true, force: true }))
    const postgres = await runPostgres({ dataDir: path.join(dataDir, 'pg'), log })
    folder.teardown(() => postgres.stop())
    const events = bigLog(LARGE)
    const plain = await plainInserts(postgres.url, events)
    const small = await rebuilds(folder, postgres.url, events.slice(0, SMALL), RUNS)
    const large = await rebuilds(folder, postgres.url, events, RUNS)
    emit(measurement('projections.rebuild', 'events/s', large.rates, plain))
    emit(measurement('projections.rebuild-10k', 'events/s', small.rates, plain))
    const flat = small.megabytes.toSorted((a, b) => a - b)[Math.floor(RUNS / 2)]
    emit(measurement('projections.rebuild-memory', 'MB', large.megabytes, flat))
  } finally {
    await folder.end()
  }
}

/** What it costs to put the same number of rows into one plain table, in batches of the same size. */
async function plainInserts(url: string, events: readonly Recorded[]): Promise<number> {
  const line = createPipelined(url, log, { setup: 'set synchronous_commit = off' })
  await line.query({ text: 'create table plain (position bigint primary key, id uuid, type text, data jsonb)' })
  const text = 'insert into plain select * from unnest($1::bigint[], $2::uuid[], $3::text[], $4::jsonb[])'
  const began = performance.now()
  for (let i = 0; i < events.length; i += BATCH) {
    const batch = events.slice(i, i + BATCH)
    const columns = [
      batch.map(e => e.position.commit),
      batch.map(e => e.id),
      batch.map(e => e.type),
      batch.map(e => JSON.stringify(e.data)),
    ]
    await line.batch([{ text: 'begin' }, { text, values: columns }, { text: 'commit' }])
  }
  const seconds = (performance.now() - began) / 1000
  await line.query({ text: 'drop table plain' })
  await line.close()
  return events.length / seconds
}

type Ending = ReturnType<typeof ending>

async function rebuilds(t: Ending, postgresUrl: string, events: readonly Recorded[], runs: number) {
  const node = await startEventStore(t)
  const store = connectEventStore(node.connectionString, { appendDeadlineMs: 60_000 })
  await appendAll(store, events)
  await store.close()
  const pool = createPool(postgresUrl, log, { max: 1 })
  await pool.query('drop schema if exists read_model cascade')
  await ensureReadModel(pool)
  await pool.end()
  const rates: number[] = []
  const megabytes: number[] = []
  for (let i = 0; i < runs; i += 1) {
    const result = await rebuildOnce(node.connectionString, postgresUrl)
    if (result.events !== events.length) throw new Error(`${result.events} events were projected, not ${events.length}`)
    rates.push(result.events / result.seconds)
    megabytes.push(result.megabytes)
  }
  await node.stop()
  return { rates, megabytes }
}

/** The operator's command in a process of its own, with the most memory it ever held. */
async function rebuildOnce(eventStoreUrl: string, postgresUrl: string) {
  const env = {
    ...process.env,
    OPSCONDUCTOR_EVENTSTORE_URL: eventStoreUrl,
    OPSCONDUCTOR_POSTGRES_URL: postgresUrl,
  }
  const args = [ENTRY, 'projections', 'rebuild', '--drop-old', '--json']
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  let megabytes = 0
  const look = setInterval(() => {
    megabytes = Math.max(megabytes, peak(child.pid))
  }, 20)
  let text = ''
  child.stdout.on('data', chunk => {
    text += chunk
  })
  const [code] = await once(child, 'close')
  clearInterval(look)
  if (code !== 0) throw new Error(`the rebuild ended with ${code}: ${text}`)
  const { events, seconds } = JSON.parse(text)
  return { events: Number(events), seconds: Number(seconds), megabytes }
}

/** High-water mark of resident memory (proc(5), VmHWM), 0 for a process that is gone. */
function peak(pid: number | undefined): number {
  try {
    const [, kilobytes = '0'] = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Number(kilobytes) / 1024
  } catch {
    return 0
  }
}
