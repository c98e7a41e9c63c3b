import type { Pool } from '../../infra/postgres.ts'

const WINDOW_MS = 15 * 60_000
/** Attempts that may fail in any quarter of an hour. */
const MAX_TRIES = { account: 10, code: 10, address: 100 } as const
const SWEEP_EVERY = 1_000

/** `lockedUntil` beside a yes: this was the last one for now. */
export type Admission = { admitted: boolean; lockedUntil?: string }

/**
 * Counts attempts before they are judged, over restarts and for all processes alike. A lock ends by itself; attempts
 * while it lasts do not make it longer.
 */
export type Attempts = {
  admit(kind: keyof typeof MAX_TRIES, key: string, now: string): Promise<Admission>
  /** It was the right one after all. */
  forget(kind: keyof typeof MAX_TRIES, key: string): Promise<void>
  /** This one was, which says nothing about the others: who may sign in may still try other names. */
  takeBack(kind: keyof typeof MAX_TRIES, key: string, now: string): Promise<void>
  /** Everything that was counted for keys that begin so. */
  forgetAll(kind: keyof typeof MAX_TRIES, prefix: string): Promise<void>
}

/** Keys hold no pattern characters: they are UUIDs and digests. */
export function createAttempts(pool: Pool): Attempts {
  let calls = 0
  return {
    async admit(kind, key, now) {
      calls += 1
      if (calls % SWEEP_EVERY === 0)
        await pool.query('delete from vault.sign_in_attempt where last_at < $1', [from(now)])
      const bucket = `${kind}:${key}`
      const { rows } = await pool.query<Counted>({ ...ADMIT, values: [bucket, now, from(now), MAX_TRIES[kind]] })
      const counted = rows[0] ?? (await pool.query<Counted>({ ...LOOK, values: [bucket] })).rows[0]
      const full = rows.length === 0 || (counted?.tries ?? 0) >= MAX_TRIES[kind]
      const until = new Date(Date.parse(counted?.oldest ?? now) + WINDOW_MS).toISOString()
      return { admitted: rows.length > 0, ...(full && { lockedUntil: until }) }
    },
    async forget(kind, key) {
      await pool.query('delete from vault.sign_in_attempt where bucket = $1', [`${kind}:${key}`])
    },
    async takeBack(kind, key, now) {
      await pool.query({ ...TAKE_BACK, values: [`${kind}:${key}`, now] })
    },
    async forgetAll(kind, prefix) {
      await pool.query('delete from vault.sign_in_attempt where bucket like $1', [`${kind}:${prefix}%`])
    },
  }
}

const from = (now: string): string => new Date(Date.parse(now) - WINDOW_MS).toISOString()

type Counted = { tries: number; oldest: string }

/** One statement, so that many at once cannot all be the tenth; nothing comes back from a full bucket. */
const ADMIT = {
  name: 'vault-admit-attempt',
  text: `insert into vault.sign_in_attempt as a (bucket, tries, last_at) values ($1, array[$2::timestamptz], $2)
    on conflict (bucket) do update set
      tries = array(select t from unnest(a.tries) t where t > $3::timestamptz) || $2::timestamptz, last_at = $2
      where (select count(*) from unnest(a.tries) t where t > $3::timestamptz) < $4::int
    returning cardinality(tries) as tries, tries[1] as oldest`,
}
const LOOK = {
  name: 'vault-look-at-attempts',
  text: 'select cardinality(tries) as tries, tries[1] as oldest from vault.sign_in_attempt where bucket = $1',
}
const TAKE_BACK = {
  name: 'vault-take-back-attempt',
  text: 'update vault.sign_in_attempt set tries = array_remove(tries, $2::timestamptz) where bucket = $1',
}
