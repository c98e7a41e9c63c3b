import pino from 'pino'
import type { Test } from 'tap'
import { createPool, inTransaction, type Pool } from '../../infra/postgres.ts'
import { Applier } from '../../projectors/applier.ts'
import { auditProjection } from '../../projectors/audit/audit.ts'
import { readHashes } from '../../projectors/compare.ts'
import { projectorConnection } from '../../projectors/connection.ts'
import { comparedTables, createReadModel, ensureReadModel, LIVE } from '../../projectors/schema.ts'
import { stateProjection } from '../../projectors/state.ts'
import type { Recorded } from '../../schemas/events.ts'
import { freshDatabase } from './postgres.ts'

const log = pino({ level: 'silent' })

export type ReadModel = {
  url: string
  pool: Pool
  state: Applier
  audit: Applier
  /** Applies events to both projections in batches of this size. */
  project(events: readonly Recorded[], batch?: number | ((i: number) => number)): Promise<void>
  /** One hash per table. */
  hashes(): Promise<Record<string, string>>
  /** Forgets every row and begins anew. */
  empty(): Promise<void>
}

/** Empty read models in a database of their own, on a real Postgres. */
export async function freshReadModel(t: Test): Promise<ReadModel> {
  const { url } = await freshDatabase(t)
  const pool = createPool(url, log, { max: 4 })
  await ensureReadModel(pool)
  const connections = [stateProjection, auditProjection].map(() => projectorConnection(url, log, LIVE))
  const [first, second] = connections
  if (!first || !second) throw new Error('two projections, two connections')
  t.teardown(async () => {
    await Promise.all(connections.map(connection => connection.close()))
    await pool.end()
  })
  const state = new Applier(stateProjection, first)
  const audit = new Applier(auditProjection, second)
  return {
    url,
    pool,
    state,
    audit,
    async project(events, batch = 500) {
      for (let i = 0; i < events.length; ) {
        const size = typeof batch === 'number' ? batch : batch(i)
        const due = events.slice(i, i + size)
        await Promise.all([state.apply(due), audit.apply(due)])
        i += size
      }
    },
    async hashes() {
      const found = await readHashes(pool, LIVE, comparedTables)
      return Object.fromEntries(found.map(({ table, rows, sha256 }) => [table, `${rows} ${sha256}`]))
    },
    async empty() {
      await inTransaction(pool, connection => createReadModel(connection, LIVE))
      await Promise.all([state.load(), audit.load()])
    },
  }
}
