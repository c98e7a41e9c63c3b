import type { Clock } from '../../../infra/clock.ts'

const LIFE_MS = 10 * 60_000
const MOST = 10_000

/** What was made up for one sign-in and has to fit what comes back. */
export type Pending = { verifier: string; nonce: string }

/** Sign-ins that have begun, in memory: each is taken once, within ten minutes; of too many the oldest go. */
export interface PendingSignIns {
  put(state: string, pending: Pending): void
  take(state: string): Pending | undefined
}

export function createPendingSignIns(clock: Pick<Clock, 'monotonic'>, most = MOST): PendingSignIns {
  const waiting = new Map<string, Pending & { until: number }>()
  return {
    put(state, pending) {
      // In the order they came, so the first are the oldest.
      for (const [key, { until }] of waiting) {
        if (waiting.size < most && until > clock.monotonic()) break
        waiting.delete(key)
      }
      waiting.set(state, { ...pending, until: clock.monotonic() + LIFE_MS })
    },
    take(state) {
      const found = waiting.get(state)
      waiting.delete(state)
      return found && found.until > clock.monotonic() ? { verifier: found.verifier, nonce: found.nonce } : undefined
    },
  }
}
