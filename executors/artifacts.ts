import { createHash } from 'node:crypto'
import { type Bus, BusError, requestJson } from '../infra/bus.ts'
import type { Ids } from '../infra/ids.ts'
import { ARTIFACT_CHUNK_BYTES, type ArtifactPut, artifactGetReply, artifactPutReply, subjects } from '../schemas/bus.ts'
import { backoffMs, pause } from './wait.ts'

/** What could not be stored or found, or a store that does not answer. */
export class ArtifactFailure extends Error {
  override name = 'ArtifactFailure'
}

/** Content that can be read from any place, as often as needed. */
export type Source = {
  bytes: number
  sha256: string
  /** From there to as far as is at hand; empty only at the end. */
  read(offset: number, signal: AbortSignal): Promise<Buffer>
}

const ANSWER_MS = 10_000
/** The whole is read back before it is promised. */
const FINISH_MS = 120_000
const TRIES_MS = 60_000

/** The way to the artifact store: over the bus, in chunks. Rejects with ArtifactFailure. */
export class Artifacts {
  readonly #bus: Bus
  readonly #executorId: string
  readonly #ids: Ids

  constructor(options: { bus: Bus; executorId: string; ids: Ids }) {
    this.#bus = options.bus
    this.#executorId = options.executorId
    this.#ids = options.ids
  }

  /** A stored file as content to send. */
  async open(sha256: string, signal: AbortSignal): Promise<Source> {
    const first = await this.#get(sha256, 0, signal)
    let held = { index: 0, data: first.data }
    return {
      bytes: first.bytes,
      sha256,
      read: async (offset, signal) => {
        if (offset >= first.bytes) return Buffer.alloc(0)
        const index = Math.floor(offset / ARTIFACT_CHUNK_BYTES)
        if (held.index !== index) held = { index, data: (await this.#get(sha256, index, signal)).data }
        return held.data.subarray(offset - index * ARTIFACT_CHUNK_BYTES)
      },
    }
  }

  /** A new file, to be written from its beginning to its end. */
  writer(): ArtifactWriter {
    return new ArtifactWriter(this.#ids.next(), (part, signal) => this.#put(part, signal))
  }

  async #get(sha256: string, index: number, signal: AbortSignal): Promise<{ bytes: number; data: Buffer }> {
    const executorId = this.#executorId
    const reply = await this.#untilAnswered(signal, () => {
      const request = { executorId, sha256, index }
      return requestJson(this.#bus, subjects.artifactGet(executorId), artifactGetReply, request, {
        timeoutMs: ANSWER_MS,
      })
    })
    if ('error' in reply) throw new ArtifactFailure(`artifact ${sha256}: ${reply.detail}`)
    return { bytes: reply.bytes, data: Buffer.from(reply.data, 'base64') }
  }

  async #put(part: Part, signal: AbortSignal): Promise<void> {
    const executorId = this.#executorId
    const timeoutMs = part.kind === 'finish' ? FINISH_MS : ANSWER_MS
    const reply = await this.#untilAnswered(signal, () =>
      requestJson(
        this.#bus,
        subjects.artifactPut(executorId),
        artifactPutReply,
        { executorId, ...part },
        { timeoutMs },
      ),
    )
    if ('error' in reply) throw new ArtifactFailure(`not stored: ${reply.detail}`)
  }

  async #untilAnswered<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    const since = performance.now()
    for (let failures = 0; ; failures += 1) {
      try {
        return await ask()
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        if (signal.aborted || performance.now() - since > TRIES_MS) {
          throw new ArtifactFailure(`the artifact store does not answer (${error.name})`)
        }
        await pause(backoffMs(failures, 1_000), signal)
      }
    }
  }
}

type Part = DistributiveOmit<ArtifactPut, 'executorId'>
type DistributiveOmit<T, K extends string> = T extends unknown ? Omit<T, K> : never

/** One file on its way into the store. */
export class ArtifactWriter {
  readonly #uploadId: string
  readonly #put: (part: Part, signal: AbortSignal) => Promise<void>
  readonly #hash = createHash('sha256')
  #held: Buffer[] = []
  #heldBytes = 0
  #index = 0
  #bytes = 0

  constructor(uploadId: string, put: (part: Part, signal: AbortSignal) => Promise<void>) {
    this.#uploadId = uploadId
    this.#put = put
  }

  /** How much was taken so far. */
  get bytes(): number {
    return this.#bytes
  }

  async write(bytes: Buffer, signal: AbortSignal): Promise<void> {
    this.#hash.update(bytes)
    this.#bytes += bytes.length
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    while (this.#heldBytes >= ARTIFACT_CHUNK_BYTES) await this.#send(ARTIFACT_CHUNK_BYTES, signal)
  }

  /** SHA-256 of everything written; nothing may follow. */
  digest(): string {
    return this.#hash.digest('hex')
  }

  /** Makes it known under its SHA-256. */
  async finish(sha256: string, signal: AbortSignal): Promise<void> {
    if (this.#heldBytes > 0) await this.#send(this.#heldBytes, signal)
    await this.#put({ kind: 'finish', uploadId: this.#uploadId, bytes: this.#bytes, sha256 }, signal)
  }

  async #send(length: number, signal: AbortSignal): Promise<void> {
    const all = Buffer.concat(this.#held)
    const chunk = all.subarray(0, length)
    this.#held = [all.subarray(length)]
    this.#heldBytes = all.length - length
    const data = chunk.toString('base64')
    await this.#put({ kind: 'chunk', uploadId: this.#uploadId, index: this.#index, data }, signal)
    this.#index += 1
  }
}

/** Content that came with the step. */
export function inlineSource(content: string): Source {
  const whole = Buffer.from(content)
  const sha256 = createHash('sha256').update(whole).digest('hex')
  return { bytes: whole.length, sha256, read: async offset => whole.subarray(offset) }
}
