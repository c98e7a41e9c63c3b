import { type LiveOutput, type OutputBatch, type OutputReply, subjects } from '../../schemas/bus.ts'
import type { StoredChunk } from './output-store.ts'

type Store = (chunks: OutputBatch['chunks']) => Promise<StoredChunk[]>
type Waiting = { batch: OutputBatch; resolve(reply: OutputReply): void; reject(error: unknown): void }

/** Keeps one statement, and one message of the broker, within bounds. */
const MAX_CHUNKS = 2_048
const MAX_LIVE_BYTES = 500_000

/**
 * Stores output and then shows it. Batches that arrive while one statement runs share the next: one commit for many
 * executors, no waiting when there is one. Chunks of a claim that is over are stored too: they are what it printed.
 */
export class Output {
  readonly #store: Store
  readonly #publish: (subject: string, live: LiveOutput) => void
  #waiting: Waiting[] = []
  #storing = false

  constructor(store: Store, publish: (subject: string, live: LiveOutput) => void) {
    this.#store = store
    this.#publish = publish
  }

  /** Resolves once the batch is durable. Rejects when it could not be stored now and may be sent again. */
  receive(batch: OutputBatch): Promise<OutputReply> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, resolve, reject })
      if (!this.#storing) void this.#work()
    })
  }

  async #work(): Promise<void> {
    this.#storing = true
    while (this.#waiting.length > 0) {
      const group = this.#group()
      try {
        this.#show(await this.#store(group.flatMap(({ batch }) => batch.chunks)))
        for (const { batch, resolve } of group) resolve({ stored: batch.chunks.length })
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
    }
    this.#storing = false
  }

  #group(): Waiting[] {
    let chunks = 0
    const size = this.#waiting.findIndex(({ batch }) => {
      chunks += batch.chunks.length
      return chunks > MAX_CHUNKS
    })
    return this.#waiting.splice(0, size === -1 ? this.#waiting.length : Math.max(1, size))
  }

  #show(stored: StoredChunk[]): void {
    const runIds = new Set(stored.map(chunk => chunk.runId))
    for (const runId of runIds) {
      const chunks = stored.filter(chunk => chunk.runId === runId)
      for (const part of inParts(chunks)) this.#publish(subjects.live(runId), { kind: 'output', chunks: part })
    }
  }
}

function* inParts(chunks: StoredChunk[]): Generator<StoredChunk[]> {
  let part: StoredChunk[] = []
  let bytes = 0
  for (const chunk of chunks) {
    const size = chunk.data.length + 400
    if (part.length > 0 && bytes + size > MAX_LIVE_BYTES) {
      yield part
      part = []
      bytes = 0
    }
    part.push(chunk)
    bytes += size
  }
  if (part.length > 0) yield part
}
