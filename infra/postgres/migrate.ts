import type pg from 'pg'
import type { Logger } from 'pino'
import { sha256Hex } from '../ids.ts'
import { migrations as all } from '../migrations/index.ts'
import { waitForPostgres } from './wait.ts'

/** `name` begins with its number; `sql` may hold several statements and runs in one transaction. */
export type Migration = { name: string; sql: string }

/** The database was migrated by another version of a migration than the one at hand. */
export class MigrationChanged extends Error {
  override name = 'MigrationChanged'
}

// Any constant will do, as long as every process uses the same.
const LOCK = 7_400_001

/**
 * Brings the database up to date: waits for Postgres, then applies every migration that is not there yet, in order,
 * each in its own transaction. Processes that start together wait for each other.
 * Throws MigrationChanged, PostgresUnavailable.
 */
export async function migrate(pool: pg.Pool, log: Logger, migrations: readonly Migration[] = all): Promise<void> {
  await waitForPostgres(pool, log)
  const connection = await pool.connect()
  try {
    await connection.query('set statement_timeout = 0')
    await connection.query('select pg_advisory_lock($1)', [LOCK])
    await connection.query(`create table if not exists public.schema_migration (
      name text primary key, checksum text not null, applied_at timestamptz not null default now())`)
    const applied = await checksums(connection)
    for (const migration of migrations) await applyOnce(connection, migration, applied.get(migration.name), log)
  } finally {
    // Ending the session is what surely releases the lock and forgets the setting.
    connection.release(true)
  }
}

async function checksums(connection: pg.PoolClient): Promise<Map<string, string>> {
  const { rows } = await connection.query('select name, checksum from public.schema_migration')
  return new Map(rows.map(row => [row.name, row.checksum]))
}

async function applyOnce(connection: pg.PoolClient, migration: Migration, applied: string | undefined, log: Logger) {
  const checksum = sha256Hex(migration.sql)
  if (applied === checksum) return
  if (applied !== undefined) {
    throw new MigrationChanged(`Migration ${migration.name} was applied in another wording; add a new one instead`)
  }
  await connection.query('begin')
  await connection.query(migration.sql)
  await connection.query('insert into public.schema_migration (name, checksum) values ($1, $2)', [
    migration.name,
    checksum,
  ])
  await connection.query('commit')
  log.info({ migration: migration.name }, 'database migrated')
}
