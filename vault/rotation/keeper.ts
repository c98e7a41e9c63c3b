import { setTimeout as pause } from 'node:timers/promises'
import type { Log } from '../../infra/log.ts'
import type { Pool } from '../../infra/postgres.ts'
import type { KekProvider } from '../kek.ts'
import type { KekHistory } from './history.ts'
import { rewrapAll } from './rewrap.ts'
import { wrappedKeys } from './wrapped-keys.ts'

export type KeeperDeps = { pool: Pool; keks: KekProvider; history: KekHistory; log: Log; provider: string }

const LOOK_MS = 2_000

/**
 * Looks every two seconds whether the keys have changed, and has everything wrapped by the one that is active. Nothing
 * has to be remembered of a rotation: what another key still wraps is what is left to do.
 */
export function keepRotated(deps: KeeperDeps): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const { signal } = stopping
  const told = { activated: '', completed: '', failed: false }
  const run = async () => {
    while (!signal.aborted) {
      try {
        await look(deps, signal, told)
        told.failed = false
      } catch (err) {
        if (!told.failed) deps.log.warn({ err }, 'the wrapping of keys could not be looked after: trying again')
        told.failed = true
      }
      await pause(LOOK_MS, undefined, { signal }).catch(() => undefined)
    }
  }
  const running = run()
  return {
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}

async function look(
  { pool, keks, history, log, provider }: KeeperDeps,
  signal: AbortSignal,
  told: { activated: string; completed: string },
): Promise<void> {
  await keks.refresh()
  const { active } = keks
  if (told.activated !== active) {
    await history.activated({ kekId: active, provider })
    told.activated = active
  }
  if (!(await anyOutdated(pool, active))) return
  const damaged = await rewrapAll({ pool, keks, history, log, signal })
  if (damaged === undefined || keks.active !== active || told.completed === active) return
  await history.completed({ kekId: active, damaged })
  told.completed = active
  log.info({ kekId: active, damaged }, 'all keys are wrapped by the active key-encryption key')
}

/** Whether some row is wrapped by another key; by the ends of an index, however many there are. */
export async function anyOutdated(pool: Pool, active: string): Promise<boolean> {
  const parts = wrappedKeys.map(({ table }) => `select min(kek_id) as least, max(kek_id) as most from vault.${table}`)
  const { rows } = await pool.query<{ least: string | null; most: string | null }>(parts.join(' union all '))
  return rows.some(({ least, most }) => (least ?? active) !== active || (most ?? active) !== active)
}
