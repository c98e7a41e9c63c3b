import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Bus, BusNoResponders, publishJson, requestJson, subscribeJson } from '../../infra/bus.ts'
import { systemIds } from '../../infra/ids.ts'
import {
  type Assignment,
  type Control,
  control,
  type HeartbeatReply,
  heartbeatReply,
  type OutputChunk,
  outputReply,
  pullReply,
  type ReportMessage,
  type ReportReply,
  reportReply,
  subjects,
} from '../../schemas/bus.ts'

type Report = ReportMessage['report']
type Place = { runId: string; n: number; epoch: number }

const now = () => new Date().toISOString()
export const noOutput = { bytes: 0, chunks: 0, sha256: createHash('sha256').digest('hex'), truncated: false }

/** The executor's side of the protocol, played by hand. */
export class ExecutorSide {
  readonly executorId: string
  instanceId = systemIds.next()
  readonly controls: Control[] = []
  readonly #bus: Bus
  #seq = 0

  constructor(bus: Bus, executorId = 'east-1') {
    this.#bus = bus
    this.executorId = executorId
    subscribeJson(bus, subjects.control(executorId), control, message => void this.controls.push(message))
  }

  /** As after a crash: same name, another process. */
  restart(): void {
    this.instanceId = systemIds.next()
  }

  async pull(slots = 16, waitMs = 5_000): Promise<Assignment[]> {
    const { executorId, instanceId } = this
    const request = { executorId, instanceId, publicKey: 'k'.repeat(43), slots, waitMs }
    const timeoutMs = waitMs + 5_000
    for (;;) {
      try {
        const reply = await requestJson(this.#bus, subjects.pull('default'), pullReply, request, { timeoutMs })
        return reply.assignments
      } catch (error) {
        // Nobody has caught up with the log yet.
        if (!(error instanceof BusNoResponders)) throw error
        await delay(20)
      }
    }
  }

  /** Asks and goes away before the answer. */
  pullAndVanish(slots = 16): void {
    const { executorId, instanceId } = this
    const request = { executorId, instanceId, publicKey: 'k'.repeat(43), slots, waitMs: 30_000 }
    publishJson(this.#bus, subjects.pull('default'), request)
  }

  heartbeat(active: readonly Place[]): Promise<HeartbeatReply> {
    const { executorId, instanceId } = this
    const beat = { executorId, instanceId, active: active.map(({ runId, n, epoch }) => ({ runId, n, epoch })) }
    return requestJson(this.#bus, subjects.heartbeat(executorId), heartbeatReply, beat, { timeoutMs: 5_000 })
  }

  report(report: Report, reportId = systemIds.next()): Promise<ReportReply> {
    const { executorId, instanceId } = this
    const message: ReportMessage = { reportId, executorId, instanceId, sentAt: now(), report }
    return requestJson(this.#bus, subjects.report(executorId), reportReply, message, { timeoutMs: 10_000 })
  }

  startStep({ runId, n, epoch }: Place, stepId = 'uptime', attempt = 1, reportId = systemIds.next()) {
    return this.report({ type: 'start-step', data: { runId, n, epoch, stepId, attempt, at: now() } }, reportId)
  }

  succeedStep({ runId, n, epoch }: Place, stepId = 'uptime', attempt = 1, reportId = systemIds.next()) {
    const seq = this.#next()
    const data = { runId, n, epoch, stepId, attempt, seq, at: now(), output: noOutput, exitCode: 0 }
    return this.report({ type: 'succeed-step', data }, reportId)
  }

  /** Every step of the assignment, one after the other. */
  async work(assignment: Assignment): Promise<void> {
    for (const { id } of assignment.steps) {
      const attempt = assignment.attempts[id] ?? 1
      await this.startStep(assignment, id, attempt)
      await this.succeedStep(assignment, id, attempt)
    }
  }

  cancelled({ runId, n, epoch }: Place, termination: 'not-started' | 'terminated' = 'terminated') {
    const data = { runId, n, epoch, seq: this.#next(), at: now(), termination, detail: 'cancelled by request' }
    return this.report({ type: 'report-cancelled', data })
  }

  chunk(at: Place, seq: number, text: string, more: Partial<OutputChunk> = {}): OutputChunk {
    const { runId, n, epoch } = at
    const place = { runId, n, epoch, stepId: 'uptime', attempt: 1, seq, stream: 'stdout' as const, byteOffset: 0 }
    return { ...place, at: now(), data: Buffer.from(text).toString('base64'), ...more }
  }

  output(chunks: OutputChunk[]): Promise<{ stored: number }> {
    const batch = { executorId: this.executorId, chunks }
    return requestJson(this.#bus, subjects.output(this.executorId), outputReply, batch, { timeoutMs: 10_000 })
  }

  #next(): number {
    this.#seq += 1
    return this.#seq
  }
}
