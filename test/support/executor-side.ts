import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Bus,
  BusNoResponders,
  BusRemoteError,
  exchangeJson,
  publishJson,
  requestJson,
  subscribeJson,
} from '../../infra/bus.ts'
import { type Identity, newIdentity, pullSignedText } from '../../infra/identity.ts'
import { systemIds } from '../../infra/ids.ts'
import {
  type Assignment,
  control,
  type HeartbeatReply,
  heartbeatHeaders,
  heartbeatReply,
  type Order,
  type OutputChunk,
  outputReply,
  PROTOCOL,
  pullReply,
  type ReportMessage,
  type ReportReply,
  reportReply,
  subjects,
} from '../../schemas/bus.ts'

type Report = ReportMessage['report']
type Enrol = (executorId: string, publicKey: string) => Promise<void>
type Place = { runId: string; n: number; epoch: number }

const now = () => new Date().toISOString()
export const noOutput = { bytes: 0, chunks: 0, sha256: createHash('sha256').digest('hex'), truncated: false }

/** The executor's side of the protocol, played by hand. */
export class ExecutorSide {
  readonly executorId: string
  instanceId = systemIds.next()
  readonly controls: Order[] = []
  /** How often a control plane said hello. */
  hellos = 0
  readonly identity: Identity = newIdentity()
  readonly #bus: Bus
  readonly #enrol: Enrol
  #enrolled: Promise<void> | undefined
  #askedAt = 0
  #seq = 0

  /** `enrol` lets it in before it first asks for work. */
  constructor(bus: Bus, enrol: Enrol, executorId = 'east-1') {
    this.#bus = bus
    this.#enrol = enrol
    this.executorId = executorId
    subscribeJson(bus, subjects.control(executorId), control, message => {
      if (message.kind === 'hello') this.hellos += 1
      else this.controls.push(message)
    })
  }

  /** As after a crash: same name, another process. */
  restart(): void {
    this.instanceId = systemIds.next()
  }

  async pull(slots = 16, waitMs = 5_000): Promise<Assignment[]> {
    this.#enrolled ??= this.#enrol(this.executorId, this.identity.publicKey)
    await this.#enrolled
    const timeoutMs = waitMs + 5_000
    for (;;) {
      try {
        const request = this.question(slots, waitMs)
        const reply = await requestJson(this.#bus, subjects.pull('default'), pullReply, request, { timeoutMs })
        return reply.assignments
      } catch (error) {
        // Nobody has caught up with the log yet.
        const isEarly = error instanceof BusRemoteError && error.code === 'executor-not-enrolled'
        if (!(error instanceof BusNoResponders || isEarly)) throw error
        await delay(20)
      }
    }
  }

  /** Asks and goes away before the answer. */
  pullAndVanish(slots = 16): void {
    publishJson(this.#bus, subjects.pull('default'), this.question(slots, 30_000))
  }

  /** What it asks for work with; each one later than the one before. */
  question(slots = 16, waitMs = 5_000, pool = 'default') {
    const { executorId, instanceId, identity } = this
    this.#askedAt = Math.max(this.#askedAt + 1, Date.now())
    const at = new Date(this.#askedAt).toISOString()
    const signature = identity.sign(pullSignedText({ executorId, instanceId, at, slots, pool }))
    const program = { version: '0.1.0', protocol: PROTOCOL, publicKey: identity.publicKey }
    return { executorId, instanceId, slots, waitMs, at, signature, ...program }
  }

  async heartbeat(active: readonly Place[]): Promise<HeartbeatReply> {
    return (await this.beat(active)).payload
  }

  /** A heartbeat, with the headers of its answer. */
  beat(active: readonly Place[], session?: string) {
    const { executorId, instanceId } = this
    const beat = { executorId, instanceId, active: active.map(({ runId, n, epoch }) => ({ runId, n, epoch })) }
    return exchangeJson(this.#bus, subjects.heartbeat(executorId), heartbeatReply, beat, {
      timeoutMs: 5_000,
      ...(session !== undefined && { headers: { [heartbeatHeaders.session]: session } }),
    })
  }

  async report(report: Report, reportId = systemIds.next()): Promise<ReportReply> {
    const { executorId, instanceId } = this
    const message: ReportMessage = { reportId, executorId, instanceId, sentAt: now(), report }
    for (;;) {
      try {
        return await requestJson(this.#bus, subjects.report(executorId), reportReply, message, { timeoutMs: 10_000 })
      } catch (error) {
        // As with a question for work.
        if (!(error instanceof BusNoResponders)) throw error
        await delay(20)
      }
    }
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
