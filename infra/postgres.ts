import pg from 'pg'
import type { Logger } from 'pino'
import { types } from './postgres/types.ts'

export { advisoryLock, type HeldLock, whileLeading } from './postgres/advisory-lock.ts'
export { isUnavailable, PostgresUnavailable } from './postgres/errors.ts'
export { type Migration, MigrationChanged, migrate } from './postgres/migrate.ts'
export { createPipelined, type Pipelined, type Statement } from './postgres/pipelined.ts'
export { waitForPostgres } from './postgres/wait.ts'

export type Pool = pg.Pool
export type Connection = pg.PoolClient

/**
 * A pool of Postgres connections. Waits at most 5 s for a connection and 30 s for a statement; a lost idle connection
 * is logged and replaced. Timestamps come as ISO strings, bigint as strings. `close()` is `pool.end()`.
 */
export function createPool(url: string, log: Logger, options: { max?: number; name?: string } = {}): Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max ?? 10,
    application_name: options.name ?? 'opsconductor',
    types,
    connectionTimeoutMillis: 5_000,
    statement_timeout: 30_000,
    idleTimeoutMillis: 60_000,
  })
  // Without a listener the loss of an idle connection would end the process.
  pool.on('error', err => log.warn({ err: { message: err.message } }, 'lost an idle Postgres connection'))
  return pool
}

/** Runs the work in one transaction on one connection: committed when it resolves, rolled back when it rejects. */
export async function inTransaction<T>(pool: Pool, work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await pool.connect()
  let broken: Error | undefined
  try {
    await connection.query('begin')
    const result = await work(connection)
    await connection.query('commit')
    return result
  } catch (err) {
    await connection.query('rollback').catch(failed => {
      broken = failed
    })
    throw err
  } finally {
    connection.release(broken)
  }
}
