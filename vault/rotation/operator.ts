import type { Clock } from '../../infra/clock.ts'
import type { Ids } from '../../infra/ids.ts'
import type { Pool } from '../../infra/postgres.ts'
import type { KekProvider } from '../kek.ts'
import type { KekHistory } from './history.ts'
import { wrappedKeys } from './wrapped-keys.ts'

/** `held`: the provider still has it. `wraps`: how many keys, by whose they are. */
export type KekUse = {
  kekId: string
  active: boolean
  held: boolean
  since: string | null
  wraps: Record<string, number>
}

/** Every key there is or was, the active one first. */
export async function kekUses(pool: Pool, keks: KekProvider): Promise<KekUse[]> {
  const counts = wrappedKeys.map(
    ({ holder, table }) =>
      `select '${holder}' as holder, kek_id, count(*)::int as count from vault.${table} where kek_id is not null group by kek_id`,
  )
  const [{ rows: known }, { rows: used }] = await Promise.all([
    pool.query<{ kek_id: string; created_at: string }>(
      'select kek_id, created_at from vault.kek order by created_at desc',
    ),
    pool.query<{ holder: string; kek_id: string; count: number }>(counts.join(' union all ')),
  ])
  const since = new Map(known.map(({ kek_id, created_at }) => [kek_id, created_at]))
  return [...new Set([keks.active, ...keks.ids(), ...since.keys()])].map(kekId => ({
    ...{ kekId, active: kekId === keks.active, held: keks.ids().includes(kekId), since: since.get(kekId) ?? null },
    wraps: Object.fromEntries(
      used.filter(({ kek_id }) => kek_id === kekId).map(({ holder, count }) => [holder, count]),
    ),
  }))
}

type Deps = { pool: Pool; keks: KekProvider; history: KekHistory; clock: Clock }

/** Makes a key that the vaults will find by themselves. Throws KekFixed, KekUnavailable. */
export async function renewKek({ keks, history, clock }: Deps, reason: string | undefined) {
  const from = keks.active
  const kekId = await keks.renew(clock.now())
  await history.requested({ kekId, from, ...(reason !== undefined && { reason }) })
  return { kekId, from }
}

/** A vault that has not yet noticed the newer key may wrap by the old one for as long. */
const NOTICED_MS = 60_000

/** Answers why it must not be, or destroys it. Throws KekFixed, KekUnavailable, UnknownKek. */
export async function destroyKek(
  deps: Deps & { ids: Ids },
  kekId: string,
  reason: string | undefined,
): Promise<string | undefined> {
  const { pool, keks, history, clock, ids } = deps
  const uses = await kekUses(pool, keks)
  const use = uses.find(each => each.kekId === kekId)
  if (!use?.held) return `there is no key ${kekId}`
  if (use.active) return `${kekId} is the active key: make another one first (opsconductor vault rotate-kek)`
  if (Object.keys(use.wraps).length > 0) return `${kekId} still wraps something: see opsconductor vault status`
  const since = uses.find(({ active }) => active)?.since ?? clock.now()
  if (Date.parse(clock.now()) - Date.parse(since) < NOTICED_MS)
    return 'the new key took over less than a minute ago, and a vault may not have noticed yet: try again later'
  await keks.destroy(kekId)
  await history.destroyed({ kekId, requestId: ids.next(), ...(reason !== undefined && { reason }) })
  return undefined
}
