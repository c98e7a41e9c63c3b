import type { Logger } from 'pino'
import { type Bus, BusBadPayload, BusClosed, BusRemoteError, requestJson } from '../infra/bus.ts'
import type { Clock } from '../infra/clock.ts'
import type { Ids } from '../infra/ids.ts'
import { type ReportMessage, type ReportReply, reportReply, subjects } from '../schemas/bus.ts'
import type { InFlight } from './in-flight.ts'
import { Limit } from './limit.ts'
import type { ReportSpool } from './spool/report-spool.ts'
import { backoffMs, pause } from './wait.ts'

export type ReportBody = ReportMessage['report']

export type ControlPlaneOptions = {
  bus: Bus
  spool: ReportSpool
  executorId: string
  instanceId: string
  clock: Clock
  ids: Ids
  log: Logger
  inFlight: InFlight
}

const ANSWER_MS = 5_000
const LONGEST_PAUSE_MS = 1_000
const AT_ONCE = 64

/** How an executor tells what happened and asks what it may do. */
export class ControlPlane {
  readonly #options: ControlPlaneOptions
  readonly #limit = new Limit(AT_ONCE)
  /** End of the queue of each target run: its reports arrive in the order they were made. */
  readonly #queues = new Map<string, Promise<unknown>>()
  readonly #stopped = new AbortController()

  constructor(options: ControlPlaneOptions) {
    this.#options = options
  }

  /** Sends again what an earlier process could not get through, with the ids it had then. */
  resend(): Array<{ report: ReportBody; delivered: Promise<ReportReply | undefined> }> {
    return this.#options.spool.reports().map(message => ({ report: message.report, delivered: this.#deliver(message) }))
  }

  /**
   * Makes a report that cannot be lost and resolves once it is durable here. `delivered` resolves with the answer,
   * however long that takes, or with undefined when this process stops first: the next one sends it.
   */
  async report(report: ReportBody, ready?: Promise<unknown>): Promise<{ delivered: Promise<ReportReply | undefined> }> {
    const message = this.#message(report)
    await Promise.all([this.#options.spool.report(message), ready])
    return { delivered: this.#deliver(message) }
  }

  /** Asks until there is an answer, the time is over or the signal is given; the last two give undefined. */
  async ask(report: ReportBody, forMs: () => number, signal: AbortSignal): Promise<ReportReply | undefined> {
    const message = this.#message(report)
    for (let failures = 0; !signal.aborted && forMs() > 0; failures += 1) {
      const answer = await this.#send(message, Math.min(ANSWER_MS, forMs()))
      if (answer) return answer
      await this.#options.inFlight.orLost(pause(backoffMs(failures, 500), signal))
    }
    return undefined
  }

  /** Reports still on their way. */
  get waiting(): number {
    return this.#options.spool.reports().length
  }

  /** Resolves when every report so far has its answer. */
  async idle(): Promise<void> {
    await Promise.all(this.#queues.values())
  }

  stop(): void {
    this.#stopped.abort()
  }

  #message(report: ReportBody): ReportMessage {
    const { executorId, instanceId, clock, ids } = this.#options
    return { reportId: ids.next(), executorId, instanceId, sentAt: clock.now(), report }
  }

  #deliver(message: ReportMessage): Promise<ReportReply | undefined> {
    const { runId, n } = message.report.data
    const key = `${runId}.${n}`
    const sent = (this.#queues.get(key) ?? Promise.resolve()).then(() => this.#untilAnswered(message))
    this.#queues.set(key, sent)
    void sent.finally(() => {
      if (this.#queues.get(key) === sent) this.#queues.delete(key)
    })
    return sent
  }

  async #untilAnswered(message: ReportMessage): Promise<ReportReply | undefined> {
    const { signal } = this.#stopped
    for (let failures = 0; !signal.aborted; failures += 1) {
      const answer = await this.#limit.run(() => this.#send(message, ANSWER_MS))
      if (answer) {
        this.#options.spool.done(message.reportId)
        return answer
      }
      await this.#options.inFlight.orLost(pause(backoffMs(failures, LONGEST_PAUSE_MS), signal))
    }
    return undefined
  }

  /** Undefined when there is no answer, or none is to be expected any more. */
  async #send(message: ReportMessage, timeoutMs: number): Promise<ReportReply | undefined> {
    const { bus, executorId, log, inFlight } = this.#options
    try {
      return await inFlight.orLost(requestJson(bus, subjects.report(executorId), reportReply, message, { timeoutMs }))
    } catch (err) {
      if (err instanceof BusRemoteError && err.code === 'bad-payload') {
        log.error({ err, report: message.report.type, runId: message.report.data.runId }, 'a report was not understood')
        return { status: 'refused', code: err.code, detail: 'the report was not understood' }
      }
      if (err instanceof BusClosed) this.#stopped.abort()
      else if (err instanceof BusRemoteError || err instanceof BusBadPayload) log.warn({ err }, 'a report failed')
      return undefined
    }
  }
}
