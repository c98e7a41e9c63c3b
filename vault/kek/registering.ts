import type { Clock } from '../../infra/clock.ts'
import type { Pool } from '../../infra/postgres.ts'
import type { KekProvider } from '../kek.ts'
import { registerKek } from '../own-keys.ts'

/** Has every key in the table of keys before anything is wrapped by it: a new one may turn up at any time. */
export function registering(keks: KekProvider, pool: Pool, clock: Clock): KekProvider {
  const registered = new Set<string>()
  return {
    ...keks,
    get active() {
      return keks.active
    },
    wrap: async (kekId, plaintext, aad) => {
      if (!registered.has(kekId)) {
        await registerKek(pool, keks, kekId, clock.now())
        registered.add(kekId)
      }
      return await keks.wrap(kekId, plaintext, aad)
    },
  }
}
