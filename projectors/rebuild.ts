import { setFlagsFromString } from 'node:v8'
import { connectEventStore } from '../infra/event-store/client.ts'
import type { Log } from '../infra/log.ts'
import { advisoryLock, type Connection, createPool, inTransaction, type Pool } from '../infra/postgres.ts'
import type { LogPosition } from '../schemas/events.ts'
import { Beside, type Progress } from './beside.ts'
import { type Difference, differences, readHashes, type TableHash } from './compare.ts'
import {
  createReadModel,
  ensureReadModel,
  finishReadModel,
  LIVE,
  NEXT,
  OLD,
  switchReadModel,
  tablesOf,
} from './schema.ts'

const projections = ['state', 'audit'] as const
/**
 * Collects before the heap is twice what is in use, where V8 by itself lets what batches left behind grow to four times;
 * and on one core, because the others have Postgres and the log to serve and would only be waited for.
 */
const TIDY = ['--heap-growing-percent=100', '--no-parallel-scavenge']

export type RebuildOptions = {
  eventStoreUrl: string
  postgresUrl: string
  log: Log
  /** Compares the rebuilt tables with the live ones at one position; when they differ nothing is switched. */
  verify?: boolean
  /** Drops the replaced read model instead of keeping it. */
  dropOld?: boolean
  onProgress?: (progress: Progress) => void
}
export type RebuildReport = {
  events: number
  seconds: number
  switched: boolean
  /** Undefined when nothing was compared. */
  verified: { equal: boolean; tables: TableHash[]; differences: Difference[] } | undefined
}

/**
 * Builds the read models anew from the log beside the live ones, which stay in use meanwhile, and puts the new ones in
 * their place in one transaction. One rebuild at a time.
 */
export async function rebuildReadModel(options: RebuildOptions): Promise<RebuildReport> {
  TIDY.forEach(flag => setFlagsFromString(flag))
  const lock = await advisoryLock(options.postgresUrl, 'read model rebuild')
  const pool = createPool(options.postgresUrl, options.log, { max: 3, name: 'opsconductor rebuild' })
  const store = connectEventStore(options.eventStoreUrl)
  const beside = new Beside(options, store)
  try {
    const started = performance.now()
    await ensureReadModel(pool)
    await inTransaction(pool, connection => createReadModel(connection, NEXT))
    await beside.reach(await store.head())
    await Promise.all(
      projections.map(name => inTransaction(pool, connection => finishReadModel(connection, NEXT, name))),
    )
    const verified = options.verify ? await verify(pool, beside) : undefined
    const switched = verified?.equal !== false
    if (switched) await switchOver(pool, beside)
    if (switched && options.dropOld) await pool.query(`drop schema if exists ${OLD} cascade`)
    return { events: beside.events, seconds: (performance.now() - started) / 1000, switched, verified }
  } finally {
    await beside.close()
    await store.close()
    await pool.end()
    await lock.release()
  }
}

/** Holds the new tables against the live ones, each projection at the position the live one is at. */
async function verify(pool: Pool, beside: Beside) {
  const live = await pool.connect()
  try {
    await live.query('begin isolation level repeatable read read only')
    const tables: TableHash[] = []
    const found: Difference[] = []
    for (const name of projections) {
      const position = await livePosition(live, name)
      await beside.reach(position, name)
      const before = await readHashes(live, LIVE, tablesOf(name))
      const after = await readHashes(pool, NEXT, tablesOf(name))
      tables.push(...after)
      found.push(...differences(before, after))
    }
    await live.query('commit')
    return { equal: found.length === 0, tables, differences: found }
  } finally {
    live.release(true)
  }
}

/**
 * Keeps the live projectors waiting at their checkpoint for the moment it takes to draw level and switch. One that
 * waited finds its checkpoint replaced, so that it writes nothing into the old tables and begins again with the new.
 */
async function switchOver(pool: Pool, beside: Beside): Promise<void> {
  await inTransaction(pool, async connection => {
    await connection.query(`update ${LIVE}.checkpoint set replaced = true`)
    for (const name of projections) await beside.reach(await livePosition(connection, name), name)
    await switchReadModel(connection)
  })
}

async function livePosition(connection: Connection, projection: string): Promise<LogPosition | undefined> {
  const { rows } = await connection.query(
    `select commit, prepare from ${LIVE}.checkpoint where projection = $1 and commit >= 0`,
    [projection],
  )
  return rows[0] && { commit: BigInt(rows[0].commit), prepare: BigInt(rows[0].prepare) }
}
