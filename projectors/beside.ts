import type { EventStore } from '../infra/event-store/port.ts'
import type { Log } from '../infra/log.ts'
import type { LogPosition } from '../schemas/events.ts'
import { comparePositions } from '../schemas/position.ts'
import { Applier } from './applier.ts'
import { auditProjection } from './audit/audit.ts'
import { projectorConnection } from './connection.ts'
import { isBefore, Lane } from './lane.ts'
import { categories } from './live.ts'
import type { Projection } from './projection.ts'
import { NEXT } from './schema.ts'
import { stateProjection } from './state.ts'

export type Progress = { events: number; position: string; head: string }
type Options = { postgresUrl: string; log: Log; onProgress?: (progress: Progress) => void }

/** The read model being built: both projections fed from one reading of the log, each at its own pace. */
export class Beside {
  readonly #lanes: Lane[]
  readonly #connections
  readonly #store: EventStore
  #head = ''
  events = 0

  constructor(options: Options, store: EventStore) {
    this.#store = store
    this.#connections = [stateProjection, auditProjection].map(projection => {
      return { projection, db: projectorConnection(options.postgresUrl, options.log, NEXT) }
    })
    this.#lanes = this.#connections.map(({ projection, db }) => {
      return new Lane(new Applier(projection, db), (events, position) => {
        if (projection.name !== 'state') return
        this.events += events
        options.onProgress?.({ events: this.events, position: position.commit.toString(), head: this.#head })
      })
    })
  }

  /** Applies everything up to and including the position, and nothing after it; one projection or all of them. */
  async reach(position: LogPosition | undefined, only?: Projection['name']): Promise<void> {
    if (!position) return
    const behind = this.#lanes.filter(({ name, at }) => (only === undefined || name === only) && isBefore(at, position))
    if (behind.length === 0) return
    this.#head = position.commit.toString()
    const stop = new AbortController()
    const after = behind.map(lane => lane.at).sort(compareStarts)[0]
    for await (const batch of this.#store.follow({ categories, after, signal: stop.signal })) {
      // The position was in the log before this reading of it began, so whoever caught up is past it.
      const reached = batch.caughtUp ? position : batch.position
      if (!reached) continue
      const end = comparePositions(reached, position) < 0 ? reached : position
      await Promise.all(behind.map(lane => lane.take(batch.events, end)))
      if (comparePositions(end, position) >= 0) stop.abort()
    }
    await Promise.all(behind.map(lane => lane.drain()))
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map(({ db }) => db.close()))
  }
}

function compareStarts(a: LogPosition | undefined, b: LogPosition | undefined): number {
  if (!a || !b) return a ? 1 : b ? -1 : 0
  return comparePositions(a, b)
}
