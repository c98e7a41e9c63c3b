import type { Pool } from '../infra/postgres.ts'
import type { LogPosition } from '../schemas/events.ts'

/**
 * Where the next start may begin to read. It lags behind on purpose (it lies before the oldest run that has not
 * ended) and may be lost: then the log is read from its beginning.
 */
export type Checkpoint = {
  /** Undefined when there is none. Rejects when Postgres does not answer. */
  load(): Promise<LogPosition | undefined>
  save(position: LogPosition): Promise<void>
}

export function createCheckpoint(pool: Pool, name: string): Checkpoint {
  return {
    async load() {
      const { rows } = await pool.query('select commit, prepare from reactors.checkpoint where name = $1', [name])
      return rows[0] && { commit: BigInt(rows[0].commit), prepare: BigInt(rows[0].prepare) }
    },
    async save({ commit, prepare }) {
      await pool.query(
        `insert into reactors.checkpoint (name, commit, prepare) values ($1, $2, $3)
         on conflict (name) do update set commit = excluded.commit, prepare = excluded.prepare`,
        [name, String(commit), String(prepare)],
      )
    },
  }
}
