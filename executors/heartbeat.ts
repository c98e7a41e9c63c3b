import { type Bus, BusError, exchangeJson } from '../infra/bus.ts'
import type { Clock } from '../infra/clock.ts'
import { type HeartbeatReply, heartbeatHeaders, heartbeatReply, subjects } from '../schemas/bus.ts'
import type { Lease } from './lease.ts'
import type { Held } from './spool/report-spool.ts'
import { pause } from './wait.ts'

export type Answered = {
  reply: HeartbeatReply
  /** Of the monotonic clock. */
  sentAt: number
  /** Changes when answers may have got lost; undefined from a control plane that does not say. */
  session: string | undefined
  /** False when the control plane knows of no question for work. */
  asking: boolean
}
export type HeartbeatOptions = {
  bus: Bus
  executorId: string
  instanceId: string
  lease: Lease
  clock: Clock
  active(): Held[]
  capacity: number
  onAnswer(answered: Answered): void
}

const MOST_ACTIVE = 2_048
/** While nobody answers: whoever comes back should soon hear who is there. */
const RETRY_MS = 500
/** Time for what came before the answer to be taken in. */
const TAKEN_IN_MS = 20

/** Says what this executor works on. */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  #session: string | undefined
  #repeatedAt = Number.NEGATIVE_INFINITY

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  /** Several times in a lease, and whenever the broker is back, until the signal is given. */
  async run(signal: AbortSignal): Promise<void> {
    const { bus, lease } = this.#options
    const unwatch = bus.onStatus(status => status === 'connected' && this.now())
    while (!signal.aborted) {
      const heard = await this.#beat()
      await pause(heard ? lease.heartbeatMs : Math.min(lease.heartbeatMs, RETRY_MS), signal)
    }
    unwatch()
  }

  /** Once more, whatever the rhythm. */
  now(): void {
    void this.#beat()
  }

  /** Whether it was answered. */
  async #beat(): Promise<boolean> {
    const { bus, executorId, instanceId, lease, clock, active, capacity, onAnswer } = this.#options
    const sentAt = clock.monotonic()
    const body = { executorId, instanceId, active: active().slice(0, MOST_ACTIVE), capacity }
    const timeoutMs = Math.max(500, lease.heartbeatMs)
    try {
      const { payload, headers } = await exchangeJson(bus, subjects.heartbeat(executorId), heartbeatReply, body, {
        timeoutMs,
        ...(this.#session !== undefined && { headers: { [heartbeatHeaders.session]: this.#session } }),
      })
      const { [heartbeatHeaders.session]: session, [heartbeatHeaders.asking]: asking } = headers
      onAnswer({ reply: payload, sentAt, session, asking: asking !== 'no' })
      lease.heard(sentAt)
      this.#heardOf(session)
      return true
    } catch (error) {
      // Silence is what a lease is for; the bus itself logs when it loses the broker.
      if (!(error instanceof BusError)) throw error
      return false
    }
  }

  /**
   * A control plane that begins waits to hear what was handed out and nobody has got. Where two believe to be the active
   * one, each answer is of another session than the one before: no reason to go on for ever.
   */
  #heardOf(session: string | undefined): void {
    const now = this.#options.clock.monotonic()
    if (session === this.#session) return
    this.#session = session
    if (now - this.#repeatedAt < RETRY_MS) return
    this.#repeatedAt = now
    setTimeout(() => this.now(), TAKEN_IN_MS)
  }
}
