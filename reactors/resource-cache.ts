import type { Message } from '../command-api/domain/index.ts'
import type { EventStore, Revision } from '../infra/event-store/port.ts'
import type { Recorded } from '../schemas/events.ts'

type Folding<S> = { initial: S; evolve(state: S, event: Message): S }
type Entry<S> = { state: S; revision: Revision }
type Loading<S> = { entry: Promise<Entry<S>>; newest: bigint | undefined }

/**
 * The newest state of streams of one category: read once, then kept current by the events the log tells anyway.
 * A stream is dropped, least recently used first, beyond `max`.
 */
export class ResourceCache<S> {
  readonly #store: Pick<EventStore, 'read'>
  readonly #folding: Folding<S>
  readonly #max: number
  readonly #entries = new Map<string, Entry<S>>()
  readonly #loading = new Map<string, Loading<S>>()

  constructor(store: Pick<EventStore, 'read'>, folding: Folding<S>, max: number) {
    this.#store = store
    this.#folding = folding
    this.#max = max
  }

  /** Throws EventStoreUnavailable. */
  async get(stream: string): Promise<S> {
    const entry = this.#entries.get(stream)
    if (entry) {
      this.#entries.delete(stream)
      this.#entries.set(stream, entry)
      return entry.state
    }
    return (await (this.#loading.get(stream) ?? this.#load(stream)).entry).state
  }

  /** Takes an event of the log. */
  apply(event: Recorded): void {
    const loading = this.#loading.get(event.stream)
    if (loading) loading.newest = event.revision
    const entry = this.#entries.get(event.stream)
    const at = entry && (entry.revision === 'none' ? -1n : entry.revision)
    if (at === undefined) {
      // Its first event is all there is: nothing need ever be read.
      if (event.revision === 0n && !loading) this.#extend(this.#folding.initial, event)
    } else if (event.revision === at + 1n) this.#extend(entry?.state ?? this.#folding.initial, event)
    else if (event.revision > at) this.#entries.delete(event.stream)
  }

  #extend(state: S, event: Recorded): void {
    this.#keep(event.stream, { state: this.#folding.evolve(state, event), revision: event.revision })
  }

  #load(stream: string): Loading<S> {
    const loading: Loading<S> = { entry: this.#read(stream), newest: undefined }
    this.#loading.set(stream, loading)
    const settle = (entry?: Entry<S>) => {
      this.#loading.delete(stream)
      // What was appended while it was read may be missing from it: then it serves once and is not kept.
      if (entry && !isOlder(entry.revision, loading.newest)) this.#keep(stream, entry)
    }
    loading.entry.then(settle, () => settle())
    return loading
  }

  async #read(stream: string): Promise<Entry<S>> {
    const { events, revision } = await this.#store.read(stream)
    return {
      state: events.reduce<S>((state, event) => this.#folding.evolve(state, event), this.#folding.initial),
      revision,
    }
  }

  #keep(stream: string, entry: Entry<S>): void {
    this.#entries.set(stream, entry)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#max) break
      this.#entries.delete(oldest)
    }
  }
}

const isOlder = (revision: Revision, newest: bigint | undefined) =>
  newest !== undefined && (revision === 'none' || revision < newest)
