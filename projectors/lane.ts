import type { LogPosition, Recorded } from '../schemas/events.ts'
import { comparePositions } from '../schemas/position.ts'
import type { Applier } from './applier.ts'

/** Most rows are then written once, in the state a batch leaves them in; more events at once take more memory. */
const BATCH = 1_000

/**
 * Applies events to one projection while more of them are read: a batch is written as soon as it is full, and the
 * reader is held up only when the next one is full as well.
 */
export class Lane {
  readonly #applier: Applier
  readonly #onApplied: (events: number, position: LogPosition) => void
  #waiting: Recorded[] = []
  #working: Promise<void> | undefined
  #failure: { error: unknown } | undefined
  /** Up to where events were taken. */
  at: LogPosition | undefined

  constructor(applier: Applier, onApplied: (events: number, position: LogPosition) => void) {
    this.#applier = applier
    this.#onApplied = onApplied
  }

  get name() {
    return this.#applier.projection.name
  }

  /** Takes what is new up to and including the position. Throws what applying an earlier batch threw. */
  async take(events: readonly Recorded[], end: LogPosition): Promise<void> {
    const { at } = this
    if (!isBefore(at, end)) return
    for (const event of events) {
      if (isBefore(at, event.position) && comparePositions(event.position, end) <= 0) this.#waiting.push(event)
    }
    this.at = end
    while (this.#waiting.length >= BATCH) {
      await this.#settled()
      this.#working = this.#apply(this.#waiting.splice(0, BATCH))
    }
  }

  /** Applies what is left, so that the projection is where the taking ended. */
  async drain(): Promise<void> {
    await this.#settled()
    if (this.at) await this.#apply(this.#waiting.splice(0), this.at)
    await this.#settled()
  }

  async #apply(events: readonly Recorded[], end?: LogPosition): Promise<void> {
    try {
      const { checkpoint } = await this.#applier.apply(events, end)
      if (checkpoint.position) this.#onApplied(events.length, checkpoint.position)
    } catch (error) {
      this.#failure = { error }
    }
  }

  /** Waits for the batch under way. Throws why one could not be applied. */
  async #settled(): Promise<void> {
    await this.#working
    if (this.#failure) throw this.#failure.error
  }
}

export const isBefore = (a: LogPosition | undefined, b: LogPosition) => !a || comparePositions(a, b) < 0
