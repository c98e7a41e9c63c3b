import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  type AllStreamResolvedEvent,
  type AllStreamSubscription,
  type EventStoreDBClient,
  START,
  streamNameFilter,
} from '@eventstore/db-client'
import type { LogPosition } from '../../schemas/events.ts'
import { comparePositions } from '../../schemas/position.ts'
import type { Batch, FollowOptions } from './port.ts'
import { toRecorded } from './recorded.ts'

const MAX_BATCH = 500
const FIRST_BACKOFF_MS = 100
const LAST_BACKOFF_MS = 500

/**
 * The endless, pulled feed of `$all`: one subscription at a time, nothing read ahead beyond the stream's buffer,
 * re-subscribed with a growing pause after the last position handed out.
 */
export async function* follow(client: EventStoreDBClient, options: FollowOptions): AsyncGenerator<Batch> {
  let after = options.after
  let backoff = FIRST_BACKOFF_MS
  while (!options.signal.aborted) {
    for await (const batch of once(client, { ...options, after })) {
      after = batch.position ?? after
      backoff = FIRST_BACKOFF_MS
      yield batch
    }
    await pause(backoff, options.signal)
    backoff = Math.min(backoff * 2, LAST_BACKOFF_MS)
  }
}

/** One subscription until it breaks; a broken connection just ends it. */
async function* once(client: EventStoreDBClient, options: FollowOptions): AsyncGenerator<Batch> {
  const marks = new Marks()
  const subscription = client.subscribeToAll(
    {
      fromPosition: options.after ?? START,
      filter: streamNameFilter({
        prefixes: options.categories.map(category => `${category}-`),
        checkpointReached: async (_, position) => marks.checkpoint(position, subscription.readableLength),
      }),
    },
    { highWaterMark: MAX_BATCH },
  )
  const wake = new Wake()
  let broken = false
  const over = () => {
    broken = true
    wake.up()
  }
  subscription
    .on('readable', () => wake.up())
    .on('end', over)
    .on('close', over)
    .on('error', over)
  subscription.on('caughtUp', () => {
    marks.caughtUp(subscription.readableLength)
    wake.up()
  })
  marks.onMark = () => wake.up()
  options.signal.addEventListener('abort', over, { once: true })
  try {
    while (!broken) {
      const batch = pull(subscription, marks, options.maxBatch ?? MAX_BATCH)
      if (batch) yield batch
      else {
        await wake.wait()
        // What has arrived is handed on event by event: let all of it come, or every batch would be of one.
        await nextTurn()
      }
    }
  } finally {
    options.signal.removeEventListener('abort', over)
    subscription.on('error', () => {})
    await subscription.unsubscribe().catch(() => {})
    subscription.destroy()
  }
}

function pull(subscription: AllStreamSubscription, marks: Marks, max: number): Batch | undefined {
  const events: Batch['events'] = []
  let position: LogPosition | undefined
  while (events.length < max) {
    const resolved: AllStreamResolvedEvent | null = subscription.read()
    if (!resolved) break
    marks.consumed()
    if (!resolved.event) continue
    const event = toRecorded(resolved.event)
    events.push(event)
    position = event.position
  }
  const { checkpoint, caughtUp } = marks.take()
  // Events that came after the checkpoint may have been read with it.
  if (checkpoint && (!position || comparePositions(checkpoint, position) > 0)) position = checkpoint
  return position || caughtUp ? { events, position, caughtUp } : undefined
}

/** Checkpoints and "caught up" arrive beside the events; each counts only once the events before it were read. */
class Marks {
  onMark: () => void = () => {}
  #checkpoint: { position: LogPosition; remaining: number } | undefined
  #caughtUp: number | undefined
  #live = false

  checkpoint(position: LogPosition, unread: number): void {
    this.#checkpoint = { position, remaining: unread }
    this.onMark()
  }
  caughtUp(unread: number): void {
    this.#caughtUp = unread
  }
  consumed(): void {
    if (this.#checkpoint) this.#checkpoint.remaining -= 1
    if (this.#caughtUp !== undefined) this.#caughtUp -= 1
  }
  /** What has become true; "caught up" stays true for every batch of the subscription from then on. */
  take(): { checkpoint: LogPosition | undefined; caughtUp: boolean } {
    const due = this.#checkpoint && this.#checkpoint.remaining <= 0 ? this.#checkpoint.position : undefined
    if (due) this.#checkpoint = undefined
    const news = this.#caughtUp !== undefined && this.#caughtUp <= 0
    if (news) this.#caughtUp = undefined
    this.#live ||= news
    return { checkpoint: due, caughtUp: news || (this.#live && due !== undefined) }
  }
}

/** A signal that is not lost when it comes before the wait. */
class Wake {
  #pending = false
  #resolve: (() => void) | undefined

  up(): void {
    this.#pending = true
    this.#resolve?.()
  }
  async wait(): Promise<void> {
    if (!this.#pending) {
      await new Promise<void>(resolve => {
        this.#resolve = resolve
      })
    }
    this.#pending = false
    this.#resolve = undefined
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
  })
}
