import type { Clock } from '../../infra/clock.ts'
import type { EventStore, NewEvent } from '../../infra/event-store/port.ts'
import type { Ids } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { SignInEvent } from '../../schemas/session.ts'
import { withPatience } from '../patience.ts'

/** So many at once become events of their own, over all addresses, and then one a second. */
const BURST = 100
const PER_SECOND = 1
const SUMMARY_AFTER_MS = 60_000

type Failure = Exclude<SignInEvent, { type: 'LoginFailuresCounted' }>
/** An attempt without its id. */
export type FailedAttempt = Failure extends infer F
  ? F extends { type: infer T; data: infer D }
    ? { type: T; data: Omit<D, 'attemptId'> }
    : never
  : never

/** Attempts to sign in that failed, as events; more than the limit are counted and told once a minute. */
export interface FailedAttempts {
  /** Answers at once: how long it takes to write must not tell anything. Never throws. */
  record(attempt: FailedAttempt, meta: Meta): void
  flush(): Promise<void>
}

type Deps = { store: Pick<EventStore, 'append'>; clock: Clock; ids: Ids; log: Log; summaryAfterMs?: number }

export function createFailedAttempts(deps: Deps): FailedAttempts {
  const { store, clock, ids, log, summaryAfterMs = SUMMARY_AFTER_MS } = deps
  const bucket = { tokens: BURST, at: clock.monotonic() }
  const writing = new Set<Promise<void>>()
  let counted: { since: string; count: number; meta: Meta; timer: NodeJS.Timeout } | undefined

  const append = async (event: SignInEvent, metadata: Meta) => {
    const fact: NewEvent = { ...event, id: ids.next(), metadata }
    await withPatience(clock, () => store.append(streams.signIn(event.data.attemptId), [fact], 'none'))
  }
  const tell = async () => {
    if (!counted) return
    const { since, count, meta, timer } = counted
    clearTimeout(timer)
    counted = undefined
    const commandId = ids.next()
    const { ip: _, userAgent: __, ...origin } = meta.origin
    const told = { ...meta, commandId, $causationId: commandId, origin, at: clock.now() }
    await append({ type: 'LoginFailuresCounted', data: { attemptId: ids.next(), since, count } }, told).catch(err =>
      log.error({ err, count }, 'a count of failed attempts to sign in could not be recorded'),
    )
  }
  const count = (meta: Meta) => {
    counted ??= {
      ...{ since: meta.at, count: 0, meta },
      timer: setTimeout(() => void tell(), summaryAfterMs).unref(),
    }
    counted.count += 1
  }
  return {
    record(attempt, meta) {
      log.info({ correlationId: meta.$correlationId, what: attempt.type, why: attempt.data.why }, 'sign-in failed')
      if (!take(bucket, clock.monotonic())) return count(meta)
      // The attempt's own fields and its id make the event again.
      const event = { type: attempt.type, data: { ...attempt.data, attemptId: ids.next() } } as Failure
      const written = append(event, meta)
        .catch(err => {
          log.error({ err }, 'a failed attempt to sign in could not be recorded')
          count(meta)
        })
        .finally(() => writing.delete(written))
      writing.add(written)
    },
    async flush() {
      await Promise.all(writing)
      await tell()
    },
  }
}

function take(bucket: { tokens: number; at: number }, now: number): boolean {
  bucket.tokens = Math.min(BURST, bucket.tokens + ((now - bucket.at) / 1000) * PER_SECOND)
  bucket.at = now
  if (bucket.tokens < 1) return false
  bucket.tokens -= 1
  return true
}
