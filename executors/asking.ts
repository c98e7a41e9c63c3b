import type { Clock } from '../infra/clock.ts'
import type { Answered } from './heartbeat.ts'
import { InFlight } from './in-flight.ts'

/** A question so young may not have been noted when a heartbeat was answered. */
const NOTED_MS = 250

/** Learns from heartbeats that a question for work, or anything else on its way, will not be answered any more. */
export class Asking {
  readonly #clock: Clock
  readonly #others: InFlight
  readonly #question = new InFlight()
  #since: number | undefined
  #session: string | undefined

  /** `others`: what else waits for the control plane. */
  constructor(clock: Clock, others: InFlight) {
    this.#clock = clock
    this.#others = others
  }

  /** What the question is answered; undefined when it is to be asked anew. Rejects as it does. */
  async answer<T>(question: Promise<T>): Promise<T | undefined> {
    this.#since = this.#clock.monotonic()
    try {
      return await this.#question.orLost(question)
    } finally {
      this.#since = undefined
    }
  }

  /** A pause before the next question, over at once when there is somebody new to ask. */
  async pause(pause: Promise<void>): Promise<void> {
    await this.#question.orLost(pause)
  }

  heard({ session, asking, sentAt }: Pick<Answered, 'session' | 'asking' | 'sentAt'>): void {
    const another = this.#session !== undefined && session !== undefined && session !== this.#session
    this.#session = session
    if (another) this.#others.lost()
    const unknown = !asking && this.#since !== undefined && sentAt - this.#since > NOTED_MS
    if (another || unknown) this.#question.lost()
  }
}
