import { setTimeout as delay } from 'node:timers/promises'
import { type EventStore, EventStoreUnavailable } from '../../infra/event-store/port.ts'
import type { Log } from '../../infra/log.ts'
import type { LogPosition, Recorded, StreamCategory } from '../../schemas/events.ts'
import { comparePositions } from '../../schemas/position.ts'

/** Keeps something in memory in step with the log. */
export interface Follower {
  /** Resolves once everything is known that was in the log when it was called. Throws EventStoreUnavailable. */
  current(): Promise<void>
  /** True once the log was read to its end. */
  readonly live: boolean
  stop(): Promise<void>
}

const PATIENCE_MS = 5_000
/** Between two readings nobody asked for. Reading in strides costs a fraction of being told of every event. */
const STRIDE_MS = 500
/** So many of them may be put off while the process is busy with commands: whoever needs the newest asks for it. */
const PUT_OFF = 20
const BUSY = 0.5

/** Reads these categories from the beginning of the log, in order, and goes on reading them. */
export function createFollower(options: {
  store: EventStore
  log: Log
  categories: readonly StreamCategory[]
  apply(event: Recorded): void
}): Follower {
  const { store, log, categories } = options
  const stopped = new AbortController()
  let live = false
  let applied: LogPosition | undefined
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined

  const readToTheEnd = async () => {
    for await (const batch of store.follow({ categories, after: applied, signal: stopped.signal })) {
      for (const event of batch.events) options.apply(event)
      applied = later(batch.position, applied)
      if (batch.caughtUp) return
    }
  }
  const refresh = async () => {
    const head = await store.head()
    if (!live || later(head, applied) !== applied) await readToTheEnd()
    // Nothing of our categories is missing up to where the log ended before it was read to its end.
    applied = later(head, applied)
    live = !stopped.signal.aborted
  }
  /** One reading serves everybody who asked before it began, and nobody who asked later. */
  const afterwards = async () => {
    await running?.catch(() => {})
    next = undefined
    running = refresh()
    await running
  }
  const current = () => {
    next ??= afterwards()
    return next
  }
  // A follower waits for a broken event store without end; what is not read in time counts as unreadable all the same.
  const following = keepReading(
    () => withinPatience(current()),
    stopped.signal,
    error => {
      if (live) log.warn({ err: error }, `the log cannot be read: ${categories.join(', ')} may be out of date`)
      live = false
    },
  )
  return {
    get live() {
      return live
    },
    current: () => withinPatience(current()),
    async stop() {
      stopped.abort()
      await following
    },
  }
}

async function keepReading(read: () => Promise<void>, signal: AbortSignal, onError: (error: unknown) => void) {
  while (!signal.aborted) {
    await read().catch(onError)
    await quietMoment(signal)
  }
}

async function quietMoment(signal: AbortSignal): Promise<void> {
  for (let strides = 0; strides < PUT_OFF && !signal.aborted; strides++) {
    const before = performance.eventLoopUtilization()
    await delay(STRIDE_MS, undefined, { signal }).catch(() => {})
    if (performance.eventLoopUtilization(before).utilization < BUSY) return
  }
}

async function withinPatience(reading: Promise<void>): Promise<void> {
  const patience = new AbortController()
  const late = delay(PATIENCE_MS, undefined, { signal: patience.signal }).then(() => {
    throw new EventStoreUnavailable('the log could not be read to its end in time')
  })
  late.catch(() => {})
  await Promise.race([reading, late]).finally(() => patience.abort())
}

/** The later of the two; the second when they are the same. */
const later = (a: LogPosition | undefined, b: LogPosition | undefined): LogPosition | undefined =>
  a && (!b || comparePositions(a, b) > 0) ? a : b
