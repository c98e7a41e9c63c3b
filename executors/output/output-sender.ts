import type { Logger } from 'pino'
import { type Bus, BusBadPayload, BusClosed, errorHeader, parseJson } from '../../infra/bus.ts'
import { type OutputChunk, outputReply, subjects } from '../../schemas/bus.ts'
import type { InFlight } from '../in-flight.ts'
import type { OutputSpool, SpooledChunk } from '../spool/output-spool.ts'
import { backoffMs, pause, within } from '../wait.ts'

const MOST_CHUNKS = 256
/** A broker takes messages of 1 MiB unless told otherwise. */
const MOST_BYTES = 700_000
const ANSWER_MS = 10_000
/** Without an answer for this long, output goes to disk instead of holding up the commands that write it. */
const SILENT_MS = 5_000
const ATTEMPT_BACKLOG_BYTES = 4 * 1024 * 1024
const UNWRITTEN_BYTES = 8 * 1024 * 1024

type Queue = { chunks: SpooledChunk[]; bytes: number; drained: Array<() => void> }

/** Sends output in batches, one on its way at a time, attempts taking turns; what is not acknowledged stays spooled. */
export class OutputSender {
  readonly #bus: Bus
  readonly #spool: OutputSpool
  readonly #executorId: string
  readonly #log: Logger
  readonly #inFlight: InFlight
  readonly #queues = new Map<string, Queue>()
  readonly #relieved = new Set<() => void>()
  readonly #stopped = new AbortController()
  #sending: Promise<void> | undefined
  #answeredAt = performance.now()

  constructor(options: { bus: Bus; spool: OutputSpool; executorId: string; log: Logger; inFlight: InFlight }) {
    this.#bus = options.bus
    this.#spool = options.spool
    this.#executorId = options.executorId
    this.#log = options.log
    this.#inFlight = options.inFlight
  }

  /** Sends what an earlier process left. */
  resend(): void {
    for (const chunk of this.#spool.recover()) this.#enqueue(chunk)
  }

  /** False when there is no room for it. */
  add(chunk: OutputChunk): boolean {
    const spooled = this.#spool.add(chunk)
    if (spooled) this.#enqueue(spooled)
    return spooled !== undefined
  }

  /** True when whoever fills this attempt should stop reading for a while; `onRelief` tells when to ask again. */
  isBacklogged(attemptKey: string): boolean {
    if (this.#spool.unwritten > UNWRITTEN_BYTES) return true
    const waiting = this.#queues.get(attemptKey)?.bytes ?? 0
    return waiting > ATTEMPT_BACKLOG_BYTES && performance.now() - this.#answeredAt < SILENT_MS
  }

  /** Calls back, once, after the next batch or a moment later. */
  onRelief(listener: () => void): void {
    const call = () => {
      clearTimeout(timer)
      if (this.#relieved.delete(call)) listener()
    }
    const timer = setTimeout(call, 250)
    this.#relieved.add(call)
  }

  /** True when all of the attempt's output is stored within that time. */
  async drained(attemptKey: string, withinMs: number): Promise<boolean> {
    const queue = this.#queues.get(attemptKey)
    if (!queue) return true
    const done = new Promise<true>(resolve => queue.drained.push(() => resolve(true)))
    return (await within(withinMs, done)) === true
  }

  /** Makes what could not be sent yet survive a loss of power. */
  persist(): Promise<void> {
    return this.#spool.flush()
  }

  /** Sends for at most that long, then stops; what is left is sent by the next process. */
  async stop(withinMs: number): Promise<void> {
    if (this.#sending) await within(withinMs, this.#sending)
    this.#stopped.abort()
    await this.#sending
    await this.#spool.close()
  }

  #enqueue(chunk: SpooledChunk): void {
    const queue = this.#queues.get(chunk.attemptKey) ?? { chunks: [], bytes: 0, drained: [] }
    this.#queues.set(chunk.attemptKey, queue)
    queue.chunks.push(chunk)
    queue.bytes += chunk.bytes
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined
    })
  }

  async #sendAll(): Promise<void> {
    // Attempts that finish in the same turn of the event loop share a batch.
    await new Promise(resolve => setImmediate(resolve))
    for (let failures = 0; this.#queues.size > 0 && !this.#stopped.signal.aborted; ) {
      const batch = this.#nextBatch()
      const sent = await this.#send(batch)
      failures = sent ? 0 : failures + 1
      if (sent) this.#acknowledge(batch)
      else await this.#inFlight.orLost(pause(backoffMs(failures, 1_000), this.#stopped.signal))
      for (const listener of [...this.#relieved]) listener()
    }
  }

  /** From each attempt in turn, in its order. */
  #nextBatch(): SpooledChunk[] {
    const batch: SpooledChunk[] = []
    let bytes = 0
    for (let round = 0; batch.length < MOST_CHUNKS; round += 1) {
      const before = batch.length
      for (const queue of this.#queues.values()) {
        const chunk = queue.chunks[round]
        if (!chunk || batch.length === MOST_CHUNKS) continue
        if (bytes + chunk.bytes > MOST_BYTES && batch.length > 0) return batch
        batch.push(chunk)
        bytes += chunk.bytes + 1
      }
      if (batch.length === before) return batch
    }
    return batch
  }

  async #send(batch: SpooledChunk[]): Promise<boolean> {
    try {
      const chunks = await Promise.all(batch.map(chunk => this.#spool.json(chunk)))
      const head = Buffer.from(`{"executorId":${JSON.stringify(this.#executorId)},"chunks":[`)
      const list = chunks.flatMap((json, i) => (i === 0 ? [json] : [Buffer.from(','), json]))
      const body = Buffer.concat([head, ...list, Buffer.from(']}')])
      const reply = await this.#inFlight.orLost(
        this.#bus.request(subjects.output(this.#executorId), body, { timeoutMs: ANSWER_MS }),
      )
      if (!reply) return false
      if (reply.headers[errorHeader] === 'bad-payload') this.#log.error('output was not understood: dropped')
      else parseJson(outputReply, reply.data)
      this.#answeredAt = performance.now()
      return true
    } catch (err) {
      if (err instanceof BusClosed) this.#stopped.abort()
      else if (err instanceof BusBadPayload) this.#log.warn({ err }, 'output was not stored')
      return false
    }
  }

  #acknowledge(batch: SpooledChunk[]): void {
    for (const chunk of batch) {
      const queue = this.#queues.get(chunk.attemptKey)
      if (!queue) continue
      queue.chunks.shift()
      queue.bytes -= chunk.bytes
      this.#spool.done(chunk)
      this.#queues.delete(chunk.attemptKey)
      // Back in at the end: whoever was served waits for the others.
      if (queue.chunks.length > 0) this.#queues.set(chunk.attemptKey, queue)
      else for (const resolve of queue.drained) resolve()
    }
  }
}
