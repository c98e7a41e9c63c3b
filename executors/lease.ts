import type { Clock } from '../infra/clock.ts'

/** A fifth of the lease is kept back for clocks that run at different speeds and messages that take their time. */
const MARGIN = 0.2

/**
 * How long this executor may still begin something, by its own clock that never jumps. Nothing new begins when the
 * control plane was not heard for so long that it may have given the work to somebody else.
 */
export class Lease {
  readonly #clock: Clock
  #leaseMs: number
  #heardAt: number

  constructor(clock: Clock, leaseSeconds: number) {
    this.#clock = clock
    this.#leaseMs = leaseSeconds * 1_000
    this.#heardAt = Number.NEGATIVE_INFINITY
  }

  /**
   * The control plane answered a heartbeat that was sent at this moment of the monotonic clock. No other answer counts:
   * it may have been given long before it came, and ends nobody's silence there.
   */
  heard(sentAt: number): void {
    this.#heardAt = Math.max(this.#heardAt, sentAt)
  }

  /** What the control plane says a lease is counts. */
  adopt(leaseSeconds: number): void {
    this.#leaseMs = leaseSeconds * 1_000
  }

  remainingMs(): number {
    return Math.max(0, this.#heardAt + this.#leaseMs * (1 - MARGIN) - this.#clock.monotonic())
  }

  get heartbeatMs(): number {
    return this.#leaseMs / 5
  }
}
