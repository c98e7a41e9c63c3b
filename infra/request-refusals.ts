import type { Actor } from '../schemas/kernel.ts'
import type { RefusalMessage } from '../schemas/refusal.ts'
import { addressKey } from './address-ranges.ts'
import type { Clock } from './clock.ts'
import type { RefusedRequest } from './http/refused.ts'
import { TokenBuckets } from './http/token-buckets.ts'
import type { Ids } from './ids.ts'
import type { Log } from './log.ts'

/** Events of one source: so many at once, then one in ten seconds. */
const SOURCE = { capacity: 30, perSecond: 0.1 }
/** Events of all sources together. */
const ALL = { capacity: 300, perSecond: 1 }
const SUMMARY_AFTER_MS = 60_000
const SOURCES_COUNTED = 1_000
const SOURCES_TOLD = 20

/** Refused requests as events: whoever sends how many, at most one a second and a summary a minute once it goes on. */
export interface RequestRefusals {
  /** Never throws and never waits: the answer is on its way. */
  record(refused: RefusedRequest): void
  /** Waits for what is being told, and tells what was counted. */
  flush(): Promise<void>
}

type Counted = { since: string; codes: Record<string, number>; sources: Map<string, number>; others: number }
type Deps = {
  /** Resolves when the event is durable. */
  tell: (event: RefusalMessage) => Promise<void>
  clock: Clock
  ids: Ids
  log: Log
  summaryAfterMs?: number
}

const anonymous: Actor = { kind: 'anonymous', id: 'anonymous' }

export function createRequestRefusals({
  tell,
  clock,
  ids,
  log,
  summaryAfterMs = SUMMARY_AFTER_MS,
}: Deps): RequestRefusals {
  const bySource = new TokenBuckets(SOURCE)
  const overall = new TokenBuckets(ALL)
  const underway = new Set<Promise<void>>()
  let counted: Counted | undefined
  let timer: NodeJS.Timeout | undefined

  const keep = (work: Promise<void>) => {
    underway.add(work)
    void work.finally(() => underway.delete(work))
  }
  const count = (source: string, code: string) => {
    counted ??= { since: clock.now(), codes: {}, sources: new Map(), others: 0 }
    timer ??= setTimeout(() => keep(summarise()), summaryAfterMs).unref()
    counted.codes[code] = (counted.codes[code] ?? 0) + 1
    const known = counted.sources.get(source)
    if (known === undefined && counted.sources.size >= SOURCES_COUNTED) counted.others += 1
    else counted.sources.set(source, (known ?? 0) + 1)
  }
  const summarise = async () => {
    clearTimeout(timer)
    const told = counted
    timer = undefined
    counted = undefined
    if (!told) return
    const event = summary(told, ids.next(), clock.now())
    log.warn(event.data, 'refused requests were counted, not recorded singly')
    await tell(event).catch(err => log.error({ err }, 'a count of refused requests could not be recorded'))
  }

  return {
    record(refused) {
      const source = sourceOf(refused)
      const now = clock.monotonic()
      if (!bySource.take(source, now).taken || !overall.take('', now).taken) return count(source, refused.code)
      const failed = (err: unknown) => {
        log.error({ err, correlationId: refused.correlationId }, 'a refused request could not be recorded')
        count(source, refused.code)
      }
      keep(tell(single(refused, ids.next(), clock.now())).catch(failed))
    },
    async flush() {
      await Promise.all(underway)
      await summarise()
    },
  }
}

const sourceOf = ({ actor, origin }: RefusedRequest): string =>
  actor ? `${actor.kind}:${actor.id}` : addressKey(origin.ip ?? 'unknown')

function single(refused: RefusedRequest, refusalId: string, at: string): RefusalMessage {
  const { correlationId, method, route, status, code, actor = anonymous, origin } = refused
  const metadata = { commandId: refusalId, $correlationId: correlationId, $causationId: refusalId, actor, origin, at }
  return { type: 'RequestRefused', data: { refusalId, method, route, status, code }, metadata }
}

function summary({ since, codes, sources, others }: Counted, refusalId: string, at: string): RefusalMessage {
  const most = [...sources].sort(([, a], [, b]) => b - a).map(([source, count]) => ({ source, count }))
  const told = most.slice(0, SOURCES_TOLD)
  const rest = most.slice(SOURCES_TOLD).reduce((sum, { count }) => sum + count, others)
  const count = Object.values(codes).reduce((sum, n) => sum + n, 0)
  const ids = { commandId: refusalId, $correlationId: refusalId, $causationId: refusalId }
  return {
    type: 'RequestRefusalsCounted',
    data: { refusalId, since, count, codes, sources: told, others: rest },
    metadata: { ...ids, actor: { kind: 'system', id: 'edge' }, origin: { channel: 'system' }, at },
  }
}
