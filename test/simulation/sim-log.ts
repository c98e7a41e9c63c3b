import { deciders, type Run, type TargetRun } from '../../command-api/domain/index.ts'
import {
  type Appended,
  AppendOutcomeUnknown,
  type Batch,
  type EventStore,
  EventStoreUnavailable,
  type FollowOptions,
  type NewEvent,
  type Revision,
  WrongRevision,
} from '../../infra/event-store/port.ts'
import { type AnyEvent, categoryOf, eventSchemas, type Recorded, streams } from '../../schemas/events.ts'
import { runEndedAs } from '../../schemas/run.ts'
import type { Random } from '../crash/random.ts'
import type { Process, Timeline } from './timeline.ts'

/** An event of the simulated log, with who appended it and when that was asked for. */
export type Told = Recorded & { asked: number; by: string; landed: number }
/** How often the event store misbehaves towards a process, from 0 to 1. */
export type LogFaults = { refuses: number; loses: number; lateMs: number }

const LATENCY_MS = 8
/** Mostly far fewer: what was appended at once is often told in parts. */
const MOST_AT_ONCE = 40

/** One log that survives everything; processes reach it through connections that may fail in every way. */
export class SimLog {
  readonly all: Told[] = []
  /** Runs that were asked for, and those of them that have not ended. */
  readonly runs = new Set<string>()
  readonly goingOn = new Set<string>()
  /** Told of every event once it is written. */
  onLanded: (event: Told) => void = () => undefined
  readonly #streams = new Map<string, Told[]>()
  readonly #folds = new Map<string, { state: unknown; length: number }>()
  readonly #followers = new Set<() => void>()
  readonly #time: Timeline
  readonly #random: Random
  readonly #checked: boolean
  faults: LogFaults = { refuses: 0, loses: 0, lateMs: 0 }
  down = false

  constructor(time: Timeline, random: Random, checked: boolean) {
    this.#time = time
    this.#random = random
    this.#checked = checked
  }

  stream(name: string): readonly Told[] {
    return this.#streams.get(name) ?? []
  }

  /** What a run has come to. */
  run(runId: string): Run {
    return this.#folded(deciders.run, streams.run(runId))
  }

  /** What one target of a run has come to. */
  targetRun(runId: string, n: number): TargetRun {
    return this.#folded(deciders.targetRun, streams.targetRun(runId, n))
  }

  /** Asked for again and again: what was folded once is kept. */
  #folded<S>(decider: { initial: S; evolve(state: S, event: never): S }, name: string): S {
    const events = this.stream(name)
    const known = this.#folds.get(name)
    // Each stream has one decider.
    let state = known ? (known.state as S) : decider.initial
    for (const event of events.slice(known?.length ?? 0)) state = decider.evolve(state, event as never)
    this.#folds.set(name, { state, length: events.length })
    return state
  }

  /** Written before the world begins. */
  seed(stream: string, event: AnyEvent, id: string): void {
    const by = { commandId: id, $correlationId: id, $causationId: id }
    const metadata = { ...by, actor: { kind: 'user', id: 'anna' }, origin: { channel: 'cli' } } as const
    this.#land(stream, [{ ...event, id, metadata: { ...metadata, at: this.#time.wallClock() } }], 'seed', 0)
  }

  /** What a process sees of the log. `onHeard` is told of each event as it is handed to its follower. */
  connect(process: Process, onHeard: (event: Told) => void = () => undefined): EventStore {
    return {
      read: (stream, from = 0n) => this.#read(process, stream, from),
      append: (stream, events, expected) => this.#append(process, stream, events, expected),
      head: () => this.#answer(process, () => this.all.at(-1)?.position),
      follow: options => this.#follow(process, options, onHeard),
      close: async () => undefined,
    }
  }

  #read(process: Process, stream: string, from: bigint): Promise<{ events: Recorded[]; revision: Revision }> {
    return this.#answer(process, () => {
      const events = this.stream(stream)
      return { events: events.slice(Number(from)), revision: events.at(-1)?.revision ?? 'none' }
    })
  }

  /** Asks now, takes effect a little later, is answered later still; any of it may fail. */
  #answer<T>(process: Process, act: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const back = this.#latency()
      this.#time.schedule(this.#latency(), undefined, () => {
        if (this.#refuses()) {
          this.#time.schedule(back, process, () => reject(new EventStoreUnavailable('it does not answer')))
          return
        }
        const value = act()
        this.#time.schedule(back, process, () => resolve(value))
      })
    })
  }

  #append(process: Process, stream: string, events: readonly NewEvent[], expected: Revision): Promise<Appended> {
    const asked = this.#time.now
    return new Promise((resolve, reject) => {
      const back = this.#latency()
      this.#time.schedule(this.#latency(), undefined, () => {
        const told = (act: () => void) => this.#time.schedule(back, process, act)
        if (this.#refuses()) {
          told(() => reject(new EventStoreUnavailable('it does not answer')))
          return
        }
        const appended = this.#write(stream, events, expected, process.name, asked)
        if (this.#random.next() < this.faults.loses) {
          told(() => reject(new AppendOutcomeUnknown('the connection was lost')))
        } else if (appended) told(() => resolve(appended))
        else told(() => reject(new WrongRevision(`${stream} is not at ${expected}`)))
      })
    })
  }

  /** Undefined at a wrong revision. The same events at the same place are there once. */
  #write(stream: string, events: readonly NewEvent[], expected: Revision, by: string, asked: number) {
    const there = this.stream(stream)
    const first = expected === 'none' ? 0 : Number(expected) + 1
    const same = events.every((event, i) => there[first + i]?.id === event.id)
    if (same) return endOf(there[first + events.length - 1])
    if (there.length !== first) return undefined
    this.#land(stream, events, by, asked)
    return endOf(this.stream(stream).at(-1))
  }

  #land(stream: string, events: readonly NewEvent[], by: string, asked: number): void {
    const there = this.#streams.get(stream) ?? []
    this.#streams.set(stream, there)
    for (const event of events) {
      const at = BigInt(this.all.length + 1)
      const data = copyOf(event.data)
      if (this.#checked) eventSchemas[event.type]?.parse(data)
      // The pairing of type and data is that of the event it was copied from.
      const told = {
        ...{ type: event.type, data, id: event.id, stream, revision: BigInt(there.length) },
        ...{ position: { commit: at, prepare: at }, recordedAt: this.#time.wallClock() },
        metadata: { ...event.metadata, schemaVersion: 1 },
        ...{ asked, by, landed: this.#time.now },
      } as Told
      there.push(told)
      this.all.push(told)
      this.#noteRun(told)
      this.onLanded(told)
    }
    for (const wake of this.#followers) wake()
  }

  #noteRun({ type, data }: Told): void {
    if (type === 'RunRequested') {
      this.runs.add(data.runId)
      this.goingOn.add(data.runId)
    } else if (runEndedAs(type) && 'runId' in data) this.goingOn.delete(data.runId)
  }

  async *#follow(process: Process, options: FollowOptions, onHeard: (event: Told) => void): AsyncIterable<Batch> {
    const { after, signal, categories } = options
    const wanted: ReadonlySet<string> = new Set(categories)
    let next = Number(after?.commit ?? 0n)
    let visible = this.all.length
    let caughtUp = false
    let wake = () => {}
    const onLanded = () => {
      const length = this.all.length
      this.#time.schedule(this.#latency() + this.#late(), process, () => {
        visible = Math.max(visible, length)
        wake()
      })
    }
    this.#followers.add(onLanded)
    const onAbort = () => wake()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      while (!signal.aborted) {
        const end = Math.min(visible, next + 1 + Math.floor(this.#random.next() ** 3 * MOST_AT_ONCE))
        if (end <= next && caughtUp) {
          await new Promise<void>(resolve => {
            wake = resolve
          })
          continue
        }
        const events = this.all.slice(next, end).filter(event => wanted.has(categoryOf(event.stream)))
        next = Math.max(next, end)
        caughtUp ||= next >= visible
        for (const event of events) onHeard(event)
        const position = next > 0 ? { commit: BigInt(next), prepare: BigInt(next) } : undefined
        yield { events, position, caughtUp }
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#followers.delete(onLanded)
    }
  }

  #refuses(): boolean {
    return this.down || this.#random.next() < this.faults.refuses
  }

  #latency(): number {
    return 1 + this.#random.next() * LATENCY_MS
  }

  #late(): number {
    return this.#random.next() < 0.1 ? this.#random.next() * this.faults.lateMs : 0
  }
}

function endOf(event: Told | undefined): Appended | undefined {
  return event && { revision: event.revision, position: event.position }
}

/** As if written as JSON and read again, which would cost a good part of the time of a world. */
function copyOf<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  // The copy has the shape of what it was made from.
  if (Array.isArray(value)) return value.map(copyOf) as T
  const copy: Record<string, unknown> = {}
  for (const [key, each] of Object.entries(value)) if (each !== undefined) copy[key] = copyOf(each)
  return copy as T
}
