import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Logger } from 'pino'
import { isUnavailable, PostgresUnavailable } from './errors.ts'

const PAUSE_MS = 200

/**
 * Waits until Postgres answers. Throws PostgresUnavailable after `limitMs` (default 30 s); a refused password or an
 * unknown database is thrown at once, because waiting does not change it.
 */
export async function waitForPostgres(pool: pg.Pool, log: Logger, limitMs = 30_000): Promise<void> {
  const deadline = Date.now() + limitMs
  for (let attempt = 1; ; attempt += 1) {
    try {
      await pool.query('select 1')
      return
    } catch (error) {
      if (!isUnavailable(error)) throw error
      const why = error instanceof Error ? error.message : String(error)
      if (Date.now() >= deadline)
        throw new PostgresUnavailable(`Postgres did not answer in ${limitMs / 1000} s (${why})`)
      if (attempt === 1) log.info({ why }, 'waiting for Postgres')
      await delay(PAUSE_MS)
    }
  }
}
