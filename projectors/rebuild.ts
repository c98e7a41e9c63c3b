import { connectEventStore } from '../infra/event-store/client.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { Log } from '../infra/log.ts'
import { advisoryLock, type Connection, createPool, inTransaction, type Pool } from '../infra/postgres.ts'
import type { LogPosition } from '../schemas/events.ts'
import { comparePositions } from '../schemas/position.ts'
import { Applier } from './applier.ts'
import { auditProjection } from './audit/audit.ts'
import { type Difference, differences, readHashes, type TableHash, tablesOf } from './compare.ts'
import { projectorConnection } from './connection.ts'
import { categories } from './live.ts'
import type { Projection } from './projection.ts'
import { createReadModel, ensureReadModel, finishReadModel, LIVE, NEXT, OLD, switchReadModel } from './schema.ts'
import { stateProjection } from './state.ts'

export type Progress = { events: number; position: string; head: string }
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
  const lock = await advisoryLock(options.postgresUrl, 'read model rebuild')
  const pool = createPool(options.postgresUrl, options.log, { max: 3, name: 'opsconductor rebuild' })
  const store = connectEventStore(options.eventStoreUrl)
  const beside = new Beside(options, store)
  try {
    const started = performance.now()
    await ensureReadModel(pool)
    await inTransaction(pool, connection => createReadModel(connection, NEXT))
    await beside.reach(await store.head())
    await inTransaction(pool, connection => finishReadModel(connection, NEXT))
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
    for (const name of ['state', 'audit'] as const) {
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
    await beside.reach(await livePosition(connection, 'state'), 'state')
    await beside.reach(await livePosition(connection, 'audit'), 'audit')
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

type Name = Projection['name']

/** The read model being built: both projections fed from one reading of the log. */
class Beside {
  readonly #appliers: Applier[]
  readonly #connections
  readonly #options: RebuildOptions
  readonly #store: EventStore
  readonly #at = new Map<Name, LogPosition>()
  events = 0

  constructor(options: RebuildOptions, store: EventStore) {
    this.#options = options
    this.#store = store
    this.#connections = [stateProjection, auditProjection].map(projection => {
      return { projection, db: projectorConnection(options.postgresUrl, options.log, NEXT) }
    })
    this.#appliers = this.#connections.map(({ projection, db }) => new Applier(projection, db))
  }

  /** Applies everything up to and including the position, and nothing after it; one projection or all of them. */
  async reach(position: LogPosition | undefined, only?: Name): Promise<void> {
    if (!position) return
    const behind = this.#appliers.filter(({ projection: { name } }) => {
      return (only === undefined || name === only) && isBefore(this.#at.get(name), position)
    })
    if (behind.length === 0) return
    const stop = new AbortController()
    const after = behind.map(applier => this.#at.get(applier.projection.name)).sort(compareStarts)[0]
    for await (const batch of this.#store.follow({ categories, after, signal: stop.signal })) {
      // The position was in the log before this reading of it began, so whoever caught up is past it.
      const reached = batch.caughtUp ? position : batch.position
      if (!reached) continue
      const end = comparePositions(reached, position) < 0 ? reached : position
      await Promise.all(
        behind.map(async applier => {
          const at = this.#at.get(applier.projection.name)
          if (!isBefore(at, end)) return
          const due = batch.events.filter(e => isBefore(at, e.position) && comparePositions(e.position, end) <= 0)
          await applier.apply(due, end)
          this.#at.set(applier.projection.name, end)
          if (applier.projection.name === 'state') this.events += due.length
        }),
      )
      const head = position.commit.toString()
      this.#options.onProgress?.({ events: this.events, position: end.commit.toString(), head })
      if (comparePositions(end, position) >= 0) stop.abort()
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map(({ db }) => db.close()))
  }
}

const isBefore = (a: LogPosition | undefined, b: LogPosition) => !a || comparePositions(a, b) < 0

function compareStarts(a: LogPosition | undefined, b: LogPosition | undefined): number {
  if (!a || !b) return a ? 1 : b ? -1 : 0
  return comparePositions(a, b)
}
