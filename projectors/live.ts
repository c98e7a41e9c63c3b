import { setTimeout as delay } from 'node:timers/promises'
import type { EventStore } from '../infra/event-store/port.ts'
import { UnreadableEvent } from '../infra/event-store/recorded.ts'
import type { Log } from '../infra/log.ts'
import { eventsByCategory, type StreamCategory } from '../schemas/events.ts'
import type { Applier } from './applier.ts'
import type { Committed } from './apply.ts'
import { PoisonEvent } from './projection.ts'

/** All of them: a position in any stream is one the projections reach. */
export const categories = Object.keys(eventsByCategory) as StreamCategory[]

export type LiveOptions = {
  applier: Applier
  store: EventStore
  log: Log
  signal: AbortSignal
  onCommitted(committed: Committed): void
  onHalted(why: string): void
}

const RETRY_MS = 500
/**
 * A transaction for each event as it comes costs many times what one for all of them does: they are let gather, the
 * longer the more of them come.
 */
const GATHER_MS = { least: 20, each: 5, most: 100 }
/** So many at once gain nothing by waiting for more. */
const MANY = 64

/**
 * Keeps a projection up to date until the signal aborts, pulled batch by batch. Whatever fails (database, event store,
 * another projector in between) is tried again from the checkpoint; only what cannot be read or applied ends it.
 */
export async function projectLive(options: LiveOptions): Promise<void> {
  const { applier, log, signal } = options
  while (!signal.aborted) {
    try {
      await fromCheckpoint(options)
    } catch (error) {
      if (signal.aborted) return
      if (mustHalt(error)) return await halt(options, error)
      log.warn({ err: error, projection: applier.projection.name }, 'projecting failed, trying again')
      await delay(RETRY_MS, undefined, { signal }).catch(() => undefined)
    }
  }
}

async function fromCheckpoint({ applier, store, log, signal, onCommitted }: LiveOptions): Promise<void> {
  const { position } = await applier.load()
  await applier.halted(null)
  for await (const batch of store.follow({ categories, after: position, signal })) {
    if (batch.position === undefined) continue
    const began = performance.now()
    const committed = await applier.apply(batch.events, batch.position)
    for (const parked of committed.parked) log.error({ parked }, 'a stream is parked: an event cannot be applied')
    onCommitted(committed)
    // After a batch and not before: what comes when nothing else does is applied at once.
    if (batch.events.length < MANY) await gather(gatherMs(batch.events.length) - (performance.now() - began), signal)
  }
}

const gatherMs = (events: number): number =>
  Math.min(GATHER_MS.most, Math.max(GATHER_MS.least, GATHER_MS.each * events))

async function gather(ms: number, signal: AbortSignal): Promise<void> {
  if (ms >= 1) await delay(ms, undefined, { signal }).catch(() => undefined)
}

const mustHalt = (error: unknown): error is Error => error instanceof PoisonEvent || error instanceof UnreadableEvent

/** A ledger with a hole would be worse than one that stands still and says so. */
async function halt({ applier, log, signal, onHalted }: LiveOptions, error: Error): Promise<void> {
  log.error({ err: error, projection: applier.projection.name }, 'projection halted: an event cannot be applied')
  onHalted(error.message)
  await applier.halted(error.message).catch(() => undefined)
  await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
}
