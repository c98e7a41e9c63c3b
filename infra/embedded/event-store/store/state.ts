import { readHeader } from '../wire/recorded-event.ts'
import { DamagedStore } from './errors.ts'
import { RecentIds } from './recent-ids.ts'
import { isMetastream, metastreamOf, parseMetadata, type StreamMetadata } from './stream-metadata.ts'
import { streamRow, type Tables, unseal } from './tables.ts'

/** Head of a stream including appends that are not durable yet. `number` is 0 until the first event. */
export type StreamHead = {
  name: string
  nameBytes: Buffer
  number: number
  last: number
  tombstoned: boolean
  /** Appends not durable yet; such a head must not be dropped from the cache. */
  inFlight: number
}

const RECENT_IDS = 50_000
const CACHED_HEADS = 20_000

/**
 * What deciding an append needs: stream heads, pending events and recent ids. The tables hold only what is durable;
 * this is the durable state plus everything staged on top of it.
 */
export class State {
  readonly tables: Tables
  readonly recentIds = new RecentIds(RECENT_IDS)
  /** Position the next event gets. */
  end: number
  /** Everything below this position is on disk and may be served. */
  durableEnd: number
  nextStreamNumber: number
  readonly #heads = new Map<string, StreamHead>()
  readonly #metadata = new Map<string, StreamMetadata>()
  readonly #pendingEvents = new Map<number, Buffer>()
  readonly #pendingIndex = new Map<string, number>()

  constructor(tables: Tables) {
    this.tables = tables
    this.end = endOf(tables)
    this.durableEnd = this.end
    this.nextStreamNumber = 1 + lastStreamNumber(tables)
    this.#recallRecentIds()
  }

  head(name: string): StreamHead {
    const cached = this.#heads.get(name)
    if (cached) return cached
    const row = streamRow(this.tables, name)
    const head: StreamHead = {
      name,
      nameBytes: Buffer.from(name),
      number: row?.number ?? 0,
      last: row ? lastRevision(this.tables, row.number) : -1,
      tombstoned: row?.tombstone !== undefined,
      inFlight: 0,
    }
    // A head that leads to the wrong events would let the next append go to the wrong place.
    if (head.last >= 0) this.event(head, head.last)
    this.#heads.set(name, head)
    return head
  }

  metadata(name: string): StreamMetadata {
    if (isMetastream(name)) return { $maxCount: 1 }
    const cached = this.#metadata.get(name)
    if (cached) return cached
    const head = this.head(metastreamOf(name))
    const event = head.last < 0 ? undefined : this.event(head, head.last)
    const metadata = event ? parseMetadata(event) : {}
    this.#metadata.set(name, metadata)
    return metadata
  }

  forgetMetadata(name: string): void {
    this.#metadata.delete(name)
  }

  /** Position of a revision, staged or durable. */
  position(head: StreamHead, revision: number): number | undefined {
    return this.#pendingIndex.get(`${head.number}@${revision}`) ?? this.tables.index.get([head.number, revision])
  }

  /** Wire bytes of a revision, staged or durable; checked to be the event the index says. */
  event(head: StreamHead, revision: number): Buffer | undefined {
    const position = this.position(head, revision)
    if (position === undefined) return undefined
    const pending = this.#pendingEvents.get(position)
    return pending ?? durableEvent(this.tables, position, head.name, revision)
  }

  addPending(head: StreamHead, revision: number, position: number, wire: Buffer): void {
    this.#pendingEvents.set(position, wire)
    this.#pendingIndex.set(`${head.number}@${revision}`, position)
    head.inFlight++
  }

  settlePending(head: StreamHead, revision: number, position: number): void {
    this.#pendingEvents.delete(position)
    this.#pendingIndex.delete(`${head.number}@${revision}`)
    head.inFlight--
  }

  /** Forgets everything that is not durable. */
  rollBack(): void {
    this.recentIds.forgetFrom(this.durableEnd)
    this.#heads.clear()
    this.#metadata.clear()
    this.#pendingEvents.clear()
    this.#pendingIndex.clear()
    this.end = this.durableEnd
    this.nextStreamNumber = 1 + lastStreamNumber(this.tables)
  }

  /** Keeps the caches bounded. Only called between decisions: a decision holds on to the heads it looked up. */
  trim(): void {
    if (this.#metadata.size > CACHED_HEADS) this.#metadata.clear()
    if (this.#heads.size <= CACHED_HEADS) return
    for (const [name, head] of this.#heads) {
      if (head.inFlight === 0) this.#heads.delete(name)
      if (this.#heads.size < CACHED_HEADS / 2) return
    }
  }

  #recallRecentIds(): void {
    const latest = [...this.tables.events.getRange({ reverse: true, limit: RECENT_IDS })].reverse()
    let next = latest[0]?.key
    for (const { key, value } of latest) {
      if (key !== next) throw new DamagedStore(`the event at position ${next} is missing`)
      next = key + value.length
      const { id, stream, revision } = readHeader(unseal(value, key))
      this.recentIds.remember(id, { stream, revision, position: key })
    }
  }
}

/** Reads one durable event and checks that it is the one asked for. */
function durableEvent(tables: Tables, position: number, stream: string, revision: number): Buffer {
  const sealed = tables.events.get(position)
  if (!sealed) throw new DamagedStore(`the event at position ${position} is missing`)
  const wire = unseal(sealed, position)
  const header = readHeader(wire)
  if (header.stream !== stream || header.revision !== revision) {
    throw new DamagedStore(`the index leads from ${revision}@${stream} to ${header.revision}@${header.stream}`)
  }
  return wire
}

function endOf(tables: Tables): number {
  for (const { key, value } of tables.events.getRange({ reverse: true, limit: 1 })) return key + value.length
  return 0
}

function lastRevision(tables: Tables, number: number): number {
  const range = { start: [number, Number.MAX_SAFE_INTEGER], end: [number, -1], reverse: true, limit: 1 }
  for (const [, revision] of tables.index.getKeys(range)) return revision
  return -1
}

function lastStreamNumber(tables: Tables): number {
  for (const [number] of tables.index.getKeys({ reverse: true, limit: 1 })) return number
  return 0
}
