import type { Clock } from '../infra/clock.ts'
import type { EventStore, NewEvent } from '../infra/event-store/port.ts'
import { markTold } from '../infra/http/index.ts'
import type { Ids } from '../infra/ids.ts'
import type { Log } from '../infra/log.ts'
import type { CommandRecordEvent } from '../schemas/command-record.ts'
import { streams } from '../schemas/events.ts'
import type { Meta } from '../schemas/kernel.ts'
import type { ProblemError } from '../schemas/problems.ts'
import { withPatience } from './patience.ts'

/** How many refusals of one principal become events of their own: one a second, after so many at once. */
const BURST = 30
const PER_SECOND = 1
const SUMMARY_AFTER_MS = 60_000

/** Refused commands as events, so that the log tells of attempts too. */
export interface Refusals {
  /**
   * Records one refused command in its own stream. What one principal is refused beyond the limit is counted, and
   * told a minute later in one `CommandRefusalsCounted`. Never throws: the refusal stands also when it cannot be
   * recorded, and is counted then.
   */
  record(meta: Meta, error: ProblemError, stream?: string): Promise<void>
  /** Tells what was counted and not told yet. */
  flush(): Promise<void>
}

type Bucket = { tokens: number; at: number }
type Counted = { meta: Meta; since: string; codes: Record<string, number>; timer: NodeJS.Timeout }
type Deps = { store: Pick<EventStore, 'append'>; clock: Clock; ids: Ids; log: Log; summaryAfterMs?: number }

export function createRefusals(deps: Deps): Refusals {
  const { store, clock, ids, log, summaryAfterMs = SUMMARY_AFTER_MS } = deps
  // As many as there are principals, and those are made by hand.
  const buckets = new Map<string, Bucket>()
  const counted = new Map<string, Counted>()

  const append = async (event: CommandRecordEvent, metadata: Meta) => {
    const fact: NewEvent = { ...event, id: ids.next(), metadata }
    await withPatience(clock, () => store.append(streams.command(metadata.commandId), [fact], 'none'))
  }
  const count = (who: string, meta: Meta, code: string) => {
    const timer = () => setTimeout(() => void tell(who), summaryAfterMs).unref()
    const entry = counted.get(who) ?? { meta, since: meta.at, codes: {}, timer: timer() }
    entry.codes[code] = (entry.codes[code] ?? 0) + 1
    counted.set(who, entry)
  }
  const tell = async (who: string) => {
    const entry = counted.get(who)
    if (!entry) return
    counted.delete(who)
    clearTimeout(entry.timer)
    const { since, codes, meta } = entry
    const commandId = ids.next()
    const total = Object.values(codes).reduce((sum, n) => sum + n, 0)
    const told = { ...meta, commandId, $causationId: commandId, at: clock.now() }
    log.warn({ actor: meta.actor.id, since, count: total, codes }, 'refused commands were counted, not recorded singly')
    await append({ type: 'CommandRefusalsCounted', data: { commandId, since, count: total, codes } }, told).catch(err =>
      log.error({ err, actor: meta.actor.id }, 'a count of refused commands could not be recorded'),
    )
  }

  return {
    async record(meta, error, stream) {
      const { code, detail = '' } = error
      markTold(error)
      const { commandId, $correlationId, command = '', actor } = meta
      log.info({ commandId, correlationId: $correlationId, command, code }, 'command refused')
      const who = `${actor.kind}:${actor.id}`
      if (!take(buckets, who, clock.monotonic())) return count(who, meta, code)
      const data = { commandId, command, code, detail, ...(stream !== undefined && { stream }) }
      await append({ type: 'CommandRejected', data }, meta).catch(err => {
        log.error({ err, commandId }, 'a refused command could not be recorded')
        count(who, meta, code)
      })
    },
    async flush() {
      await Promise.all([...counted.keys()].map(tell))
    },
  }
}

function take(buckets: Map<string, Bucket>, who: string, now: number): boolean {
  const bucket = buckets.get(who) ?? { tokens: BURST, at: now }
  buckets.set(who, bucket)
  bucket.tokens = Math.min(BURST, bucket.tokens + ((now - bucket.at) / 1000) * PER_SECOND)
  bucket.at = now
  if (bucket.tokens < 1) return false
  bucket.tokens -= 1
  return true
}
