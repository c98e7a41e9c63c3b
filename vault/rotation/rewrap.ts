import type { Log } from '../../infra/log.ts'
import { type Connection, inTransaction, type Pool } from '../../infra/postgres.ts'
import { NotAuthentic } from '../aes-gcm.ts'
import { type KekProvider, UnknownKek } from '../kek.ts'
import type { KekHistory } from './history.ts'
import { type WrappedKey, type WrappedKeys, wrappedKeys } from './wrapped-keys.ts'

export type RewrapDeps = { pool: Pool; keks: KekProvider; history: KekHistory; log: Log; signal: AbortSignal }

const BATCH = 100
/** Enough to overlap the answers of a key service. */
const AT_ONCE = 8
const LOCK = 0x7661756c

/**
 * Wraps every key anew that the active key-encryption key does not wrap, a batch at a time: each is one event and then
 * one transaction, so a process killed anywhere leaves whole batches, and the next one goes on where it ended. Secrets
 * can be read meanwhile. Answers how many are left because they do not open, or undefined when it did not get to the
 * end: stopped, or another vault is at it.
 */
export async function rewrapAll(deps: RewrapDeps): Promise<number | undefined> {
  const active = deps.keks.active
  let damaged = 0
  for (const keys of wrappedKeys) {
    const broken: string[] = []
    for (;;) {
      if (deps.signal.aborted) return undefined
      const done = await inTransaction(deps.pool, on => rewrapSome(deps, on, keys, active, broken))
      if (done === 'busy') return undefined
      if (done === 'nothing') break
    }
    damaged += broken.length
  }
  return damaged
}

async function rewrapSome(
  { keks, history, log }: RewrapDeps,
  on: Connection,
  keys: WrappedKeys,
  active: string,
  broken: string[],
): Promise<'some' | 'nothing' | 'busy'> {
  const { rows } = await on.query<{ locked: boolean }>('select pg_try_advisory_xact_lock($1) as locked', [LOCK])
  if (!rows[0]?.locked) return 'busy'
  const old = await keys.outdated(on, active, BATCH, broken)
  const [first] = old
  if (!first) return 'nothing'
  const fresh = await wrapAnew(keks, old, active)
  for (const [i, wrapped] of fresh.entries()) {
    const key = old[i]?.key ?? ''
    if (wrapped) continue
    broken.push(key)
    log.error({ holder: keys.holder, key, kekId: first.kekId }, 'a wrapped key does not open: it is left as it is')
  }
  const good = old.flatMap(({ key }, i) => (fresh[i] ? [{ key, wrapped: fresh[i] }] : []))
  if (good.length === 0) return 'some'
  const names = good.map(({ key }) => key)
  await history.rewrapped({ kekId: active, from: first.kekId, holder: keys.holder, count: good.length, keys: names })
  for (const { key, wrapped } of good) await keys.replace(on, key, { kekId: active, wrapped })
  return 'some'
}

/** In order; undefined for those that do not open. */
async function wrapAnew(keks: KekProvider, old: readonly WrappedKey[], active: string) {
  const fresh: (Buffer | undefined)[] = []
  for (let from = 0; from < old.length; from += AT_ONCE)
    fresh.push(...(await Promise.all(old.slice(from, from + AT_ONCE).map(each => anew(keks, each, active)))))
  return fresh
}

async function anew(keks: KekProvider, { kekId, wrapped, aad }: WrappedKey, active: string) {
  let key: Buffer | undefined
  try {
    key = await keks.unwrap(kekId, wrapped, aad(kekId))
    return await keks.wrap(active, key, aad(active))
  } catch (err) {
    if (err instanceof NotAuthentic || err instanceof UnknownKek) return undefined
    throw err
  } finally {
    key?.fill(0)
  }
}
