import {
  categoryOf,
  eventsByCategory,
  type LogPosition,
  type Recorded,
  type StreamCategory,
} from '../../schemas/events.ts'
import { comparePositions } from '../../schemas/position.ts'
import type { Batch, EventStore, FollowOptions } from './port.ts'

const ALL = Object.keys(eventsByCategory) as StreamCategory[]
const KEPT = 2_000
const MAX_BATCH = 500

type Follow = EventStore['follow']

/**
 * Followers of one process that have come to the end of the log go on reading it together: each event is then sent
 * and decoded once instead of once for each. One that falls behind reads on its own until it has caught up again.
 */
export class SharedLog {
  readonly #kept: number
  #trunk: Trunk | undefined

  /** `kept`: how many events a follower may be behind the fastest before it reads on its own. */
  constructor({ kept = KEPT }: { kept?: number } = {}) {
    this.#kept = kept
  }

  /** The same store, with a `follow` that is shared with that of every other store that joined. */
  join(store: EventStore): EventStore {
    return { ...store, follow: options => this.#follow(store.follow, options) }
  }

  async *#follow(own: Follow, options: FollowOptions): AsyncGenerator<Batch> {
    let { after } = options
    while (!options.signal.aborted) {
      for await (const batch of own({ ...options, after })) {
        after = batch.position ?? after
        yield batch
        if (batch.caughtUp) break
      }
      if (options.signal.aborted) return
      const founded = this.#trunk ? undefined : this.#found(own, after)
      try {
        for await (const batch of this.#trunk?.after(after, options) ?? []) {
          after = batch.position
          yield batch
        }
      } finally {
        await founded?.leave()
      }
    }
  }

  /** It is read through its founder's connection, so it ends when the founder leaves. */
  #found(own: Follow, after: LogPosition | undefined): Trunk {
    const trunk = new Trunk(own, after, this.#kept, () => {
      if (this.#trunk === trunk) this.#trunk = undefined
    })
    this.#trunk = trunk
    return trunk
  }
}

type Reached = Batch & { position: LogPosition }

/** One reading of the whole log from some position on, with the newest events kept for those who are behind. */
class Trunk {
  readonly #kept: number
  readonly #onEnd: () => void
  readonly #stop = new AbortController()
  readonly #reading: Promise<void>
  readonly #waiting = new Set<() => void>()
  #wanted: (() => void) | undefined
  #events: Recorded[] = []
  /** How many events came before the first that is kept. */
  #dropped = 0
  /** Before the first event that is kept. */
  #start: LogPosition | undefined
  #position: LogPosition | undefined

  constructor(follow: Follow, after: LogPosition | undefined, kept: number, onEnd: () => void) {
    this.#kept = kept
    this.#onEnd = onEnd
    this.#start = after
    this.#position = after
    // What it cannot read its members find out on their own.
    this.#reading = this.#read(follow, after)
      .catch(() => undefined)
      .then(() => this.#end())
  }

  /** Ends it and waits until it is read no more. */
  async leave(): Promise<void> {
    this.#end()
    await this.#reading
  }

  /** Its members go on alone. */
  #end(): void {
    this.#onEnd()
    this.#stop.abort()
    this.#wanted?.()
    this.#wake()
  }

  /** What comes after the position; ends with the trunk, with the signal, or when that is no longer kept. */
  async *after(
    after: LogPosition | undefined,
    { categories, signal, maxBatch }: FollowOptions,
  ): AsyncGenerator<Reached> {
    if (isBefore(after, this.#start)) return
    const wanted = new Set<string>(categories)
    let next = this.#dropped + this.#events.filter(event => !isBefore(after, event.position)).length
    let told = after
    while (!this.#stop.signal.aborted && !signal.aborted) {
      if (next < this.#dropped) return
      const events = this.#events.slice(next - this.#dropped, next - this.#dropped + (maxBatch ?? MAX_BATCH))
      next += events.length
      const position = next === this.#dropped + this.#events.length ? this.#position : events.at(-1)?.position
      // One that came here from further on waits until the others are there too.
      if (position === undefined || !isBefore(told, position)) {
        await this.#more(signal)
        continue
      }
      const news = events.filter(event => isBefore(told, event.position) && wanted.has(categoryOf(event.stream)))
      told = position
      yield { events: news, position, caughtUp: false }
    }
  }

  async #read(follow: Follow, after: LogPosition | undefined): Promise<void> {
    for await (const { events, position } of follow({ categories: ALL, after, signal: this.#stop.signal })) {
      this.#keep(events, position)
      this.#wake()
      // Pulled, not pushed: nobody having read all there is, more of it is of no use.
      if (this.#waiting.size === 0 && !this.#stop.signal.aborted)
        await new Promise<void>(resolve => {
          this.#wanted = resolve
        })
    }
  }

  #keep(events: readonly Recorded[], position: LogPosition | undefined): void {
    this.#events.push(...events)
    this.#position = position ?? this.#position
    const tooMany = this.#events.length - this.#kept
    if (tooMany <= 0) return
    this.#start = this.#events[tooMany - 1]?.position
    this.#events = this.#events.slice(tooMany)
    this.#dropped += tooMany
  }

  #more(signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        this.#waiting.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#waiting.add(done)
      signal.addEventListener('abort', done, { once: true })
      this.#wanted?.()
    })
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done()
  }
}

const isBefore = (a: LogPosition | undefined, b: LogPosition | undefined): boolean =>
  b !== undefined && (a === undefined || comparePositions(a, b) < 0)
