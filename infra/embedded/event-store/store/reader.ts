import { type RecordedHeader, readHeader } from '../wire/recorded-event.ts'
import { DamagedStore } from './errors.ts'
import {
  firstVisible,
  isMetastream,
  isSoftDeleted,
  metastreamOf,
  oldestVisible,
  parseMetadata,
} from './stream-metadata.ts'
import { streamRow, type Tables, unseal } from './tables.ts'

/** A stored event as it goes to a reader; `next` is the position right behind it. */
export type StoredEvent = { position: number; next: number; wire: Buffer; header: RecordedHeader }

/**
 * Events in reading order. `next` is where reading goes on: a position of $all, a revision of a stream. `done` says that
 * nothing durable was left behind them. A page may be empty and yet not the last, when $maxAge hides what it holds.
 */
export type Page = { events: StoredEvent[]; next: number; done: boolean }

/** A stream as of the durable end; `first` and `oldest` hide what $tb, $maxCount and $maxAge hide. */
export type VisibleStream = {
  name: string
  number: number
  first: number
  last: number
  oldest: number
  state: 'missing' | 'hidden' | 'visible' | 'tombstoned'
}

export const PAGE_EVENTS = 256
const PAGE_BYTES = 2 ** 20
const END = Number.MAX_SAFE_INTEGER

/**
 * Reads what is durable, one bounded page at a time. Every event is checked against its seal, its place in the index
 * and its neighbours; throws DamagedStore instead of answering anything else than what was written.
 */
export class Reader {
  readonly #tables: Tables
  readonly #durableEnd: () => number

  constructor(tables: Tables, durableEnd: () => number) {
    this.#tables = tables
    this.#durableEnd = durableEnd
  }

  /** Events of $all at or after `from`. `exact` says that an event must be at `from` unless it is the end. */
  allForwards(from: number, exact: boolean): Page {
    const end = this.#durableEnd()
    const page = new PageBuilder()
    let next = from
    for (const { key, value } of this.#tables.events.getRange({ start: from })) {
      if (key >= end || page.full) break
      if (key !== next && (exact || page.events.length > 0)) throw missing(next)
      page.add(opened(key, value))
      next = key + value.length
    }
    if (!page.full && next < end && (exact || page.events.length > 0)) throw missing(next)
    return { events: page.events, done: !page.full, next: page.full ? next : Math.max(from, end) }
  }

  /** Events of $all before `before`, latest first. */
  allBackwards(before: number): Page {
    const start = Math.min(before, this.#durableEnd())
    const page = new PageBuilder()
    let expected = before >= this.#durableEnd() ? start : undefined
    for (const { key, value } of this.#tables.events.getRange({ start, end: -1, reverse: true })) {
      if (key >= start) continue
      if (page.full) break
      if (expected !== undefined && key + value.length !== expected) throw missing(key + value.length)
      page.add(opened(key, value))
      expected = key
    }
    if (!page.full && expected !== undefined && expected > 0) throw missing(0)
    return { events: page.events, done: !page.full, next: expected ?? start }
  }

  /** What a reader may see of a stream. `now` in milliseconds decides $maxAge. */
  stream(name: string, now: number): VisibleStream {
    const row = streamRow(this.#tables, name)
    const number = row?.number ?? 0
    const last = number === 0 ? -1 : this.#lastDurable(number)
    if (row?.tombstone !== undefined && row.tombstone < this.#durableEnd()) {
      return { name, number, first: 0, last, oldest: 0, state: 'tombstoned' }
    }
    if (last < 0) return { name, number, first: 0, last, oldest: 0, state: 'missing' }
    const metadata = isMetastream(name) ? { $maxCount: 1 } : this.#metadata(name)
    const state = isSoftDeleted(metadata) ? 'hidden' : 'visible'
    return { name, number, first: firstVisible(metadata, last), last, oldest: oldestVisible(metadata, now), state }
  }

  /** Visible events of a stream from a revision on. */
  streamForwards(stream: VisibleStream, from: number): Page {
    const start = Math.max(from, stream.first)
    return this.#streamPage(stream, start, 1, { start: [stream.number, start], end: [stream.number, END] })
  }

  /** Visible events of a stream from a revision down. */
  streamBackwards(stream: VisibleStream, from: number): Page {
    const start = Math.min(from, stream.last)
    const range = { start: [stream.number, start], end: [stream.number, stream.first - 1], reverse: true }
    return this.#streamPage(stream, start, -1, range)
  }

  /** The event a link event points to, or undefined when there is no such event to be seen. */
  linked(target: string, revision: number): Buffer | undefined {
    const stream = this.stream(target, 0)
    if (stream.state !== 'visible' || revision < stream.first || revision > stream.last) return undefined
    return this.streamForwards(stream, revision).events[0]?.wire
  }

  #streamPage(stream: VisibleStream, start: number, step: 1 | -1, range: object): Page {
    const page = new PageBuilder()
    let revision = start
    for (const { key, value: position } of this.#tables.index.getRange({ ...range, limit: PAGE_EVENTS + 1 })) {
      if (page.full || position >= this.#durableEnd()) break
      if (key[1] !== revision) throw new DamagedStore(`revision ${revision} of stream ${stream.name} is missing`)
      page.add(this.#event(stream.name, revision, position))
      revision += step
    }
    const events = page.events.filter(event => event.header.created >= stream.oldest)
    return { events, done: !page.full, next: revision }
  }

  #event(stream: string, revision: number, position: number): StoredEvent {
    const sealed = this.#tables.events.get(position)
    if (!sealed) throw missing(position)
    const event = opened(position, sealed)
    if (event.header.stream === stream && event.header.revision === revision) return event
    throw new DamagedStore(`the index has the wrong position for revision ${revision} of stream ${stream}`)
  }

  #metadata(name: string) {
    const row = streamRow(this.#tables, metastreamOf(name))
    const last = row ? this.#lastDurable(row.number) : -1
    if (!row || last < 0) return {}
    const position = this.#tables.index.get([row.number, last])
    return position === undefined ? {} : parseMetadata(this.#event(metastreamOf(name), last, position).wire)
  }

  #lastDurable(number: number): number {
    const range = { start: [number, END], end: [number, -1], reverse: true }
    for (const { key, value } of this.#tables.index.getRange(range)) if (value < this.#durableEnd()) return key[1]
    return -1
  }
}

class PageBuilder {
  readonly events: StoredEvent[] = []
  #bytes = 0

  add(event: StoredEvent): void {
    this.events.push(event)
    this.#bytes += event.wire.length
  }

  get full(): boolean {
    return this.events.length >= PAGE_EVENTS || this.#bytes >= PAGE_BYTES
  }
}

function opened(position: number, sealed: Buffer): StoredEvent {
  const wire = unseal(sealed, position)
  const header = readHeader(wire)
  if (header.position !== position) throw new DamagedStore(`the event at position ${position} belongs elsewhere`)
  return { position, next: position + sealed.length, wire, header }
}

const missing = (position: number) => new DamagedStore(`the event at position ${position} is missing`)
