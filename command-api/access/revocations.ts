import { z } from 'zod'
import { revocationsOf } from '../../infra/access.ts'
import { type Bus, publishJson, subscribeJson } from '../../infra/bus.ts'
import type { Log } from '../../infra/log.ts'
import { subjects } from '../../schemas/bus.ts'
import type { Recorded } from '../../schemas/events.ts'
import { MOST_REVOCATIONS, type Revocation } from '../../schemas/revocation.ts'

/** Tells those who read from projections what has ended, before the projections do. */
export interface Revocations {
  /** What was read of the log or has just been appended, twice or not. It is told unless it is history. */
  note(events: readonly Recorded[], isHistory: boolean): void
  stop(): void
}

/** Of rights, and of sessions apart from them, which end all the time. */
const KEPT = MOST_REVOCATIONS / 2
/** Longer than any token lives: an older session is over by itself. */
const SESSION_MS = 15 * 60_000
const AT_ONCE = 200

/**
 * A message may get lost, and whoever comes later has missed all of them: the newest are kept, told again when the broker
 * comes back, and to whoever asks once the log was read to its end (`isLive`).
 */
export function createRevocations({ bus, log, isLive }: { bus: Bus; log: Log; isLive: () => boolean }): Revocations {
  const [rights, sessions] = [new Map<string, Revocation>(), new Map<string, Revocation>()]
  const newest = () => {
    const since = Date.now() - SESSION_MS
    return [...rights.values(), ...[...sessions.values()].filter(({ at }) => Date.parse(at) > since)]
  }
  const tell = (revocations: readonly Revocation[]) => {
    for (let from = 0; from < revocations.length; from += AT_ONCE) {
      try {
        publishJson(bus, subjects.revoked, { revocations: revocations.slice(from, from + AT_ONCE) })
      } catch (err) {
        log.debug({ err }, 'what has ended could not be told; the projections will')
      }
    }
  }
  // Before all of it is known there is no answer, and it is asked again.
  const asked = subscribeJson(bus, subjects.revocations, z.strictObject({}), () =>
    isLive() ? { revocations: newest() } : undefined,
  )
  const unwatch = bus.onStatus(status => {
    if (status === 'connected' && isLive()) tell(newest())
  })
  return {
    note(events, isHistory) {
      const fresh = events.flatMap(revocationsOf).filter(revocation => keep(revocation, rights, sessions))
      if (!isHistory) tell(fresh)
    },
    stop() {
      unwatch()
      asked.unsubscribe()
    },
  }
}

/** False for one that is known. */
function keep(revocation: Revocation, rights: Map<string, Revocation>, sessions: Map<string, Revocation>): boolean {
  const { stream, revision, over } = revocation
  const into = over.kind === 'session' || over.kind === 'sessions' ? sessions : rights
  const key = `${stream}@${revision}`
  if (into.has(key)) return false
  into.set(key, revocation)
  for (const oldest of into.keys()) {
    if (into.size <= KEPT) break
    into.delete(oldest)
  }
  return true
}
