import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import type { OutputChunk } from '../../schemas/bus.ts'
import type { RecordRef } from './record-format.ts'
import { RecordLog, type RecordLogOptions } from './record-log.ts'

/** One chunk that is not yet stored by the control plane. */
export type SpooledChunk = {
  /** Which attempt it belongs to: chunks of one attempt are sent in order. */
  attemptKey: string
  bytes: number
  segment: Segment
  ref: RecordRef
  /** Its JSON, while it is worth the memory. */
  json?: Buffer
}
type Segment = { log: RecordLog; waiting: number }

export type OutputSpoolLimits = { totalBytes: number; memoryBytes: number; segmentBytes: number }
const defaults: OutputSpoolLimits = {
  totalBytes: 256 * 1024 * 1024,
  memoryBytes: 16 * 1024 * 1024,
  segmentBytes: 8 * 1024 * 1024,
}

/** Names one attempt of one step on one target. */
export const attemptKeyOf = (c: Pick<OutputChunk, 'runId' | 'n' | 'epoch' | 'stepId' | 'attempt'>): string =>
  `${c.runId}.${c.n}.${c.epoch}.${c.stepId}.${c.attempt}`

/**
 * Output on its way, in files that go away when all in them is stored: a restart sends what is left. Takes no more
 * than it is allowed, in memory and on disk.
 */
export class OutputSpool {
  readonly #folder: string
  readonly #options: RecordLogOptions
  readonly #limits: OutputSpoolLimits
  readonly #segments = new Set<Segment>()
  #current: Segment | undefined
  #nextSegment: number
  #bytes = 0
  #inMemory = 0

  constructor(folder: string, options: RecordLogOptions, limits: Partial<OutputSpoolLimits> = {}) {
    this.#folder = folder
    this.#options = options
    this.#limits = { ...defaults, ...limits }
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.#nextSegment = Math.max(0, ...this.#files().map(file => file.number)) + 1
  }

  /** What an earlier process left. Call once, before `add`. Throws SpoolDamaged. */
  recover(): SpooledChunk[] {
    return this.#files().flatMap(({ name }) => {
      const { log, records } = RecordLog.open(path.join(this.#folder, name), this.#options)
      const segment = { log, waiting: 0 }
      this.#segments.add(segment)
      const chunks = records.map(({ payload, ...ref }) => {
        // Our own file, checked by its CRC.
        const chunk = JSON.parse(payload.toString()) as OutputChunk
        return this.#keep({ attemptKey: attemptKeyOf(chunk), bytes: payload.length, segment, ref })
      })
      if (chunks.length === 0) this.#drop(segment)
      return chunks
    })
  }

  /** Undefined when there is no room: the chunk is lost and must be told of. */
  add(chunk: OutputChunk): SpooledChunk | undefined {
    const json = Buffer.from(JSON.stringify(chunk))
    if (this.#bytes + json.length > this.#limits.totalBytes) return undefined
    const segment = this.#writable()
    const ref = segment.log.append(json)
    const inMemory = this.#inMemory + json.length <= this.#limits.memoryBytes
    if (inMemory) this.#inMemory += json.length
    return this.#keep({
      ...{ attemptKey: attemptKeyOf(chunk), bytes: json.length, segment, ref },
      ...(inMemory && { json }),
    })
  }

  async json(chunk: SpooledChunk): Promise<Buffer> {
    if (chunk.json) return chunk.json
    await chunk.segment.log.written()
    return await chunk.segment.log.read(chunk.ref)
  }

  /** The control plane has stored it. */
  done(chunk: SpooledChunk): void {
    this.#bytes -= chunk.bytes
    if (chunk.json) this.#inMemory -= chunk.bytes
    chunk.segment.waiting -= 1
    const { segment } = chunk
    if (segment.waiting > 0) return
    if (segment === this.#current && segment.log.size < this.#limits.segmentBytes / 8) return
    this.#drop(segment)
  }

  /** Bytes that the disk has not taken yet. */
  get unwritten(): number {
    return this.#current?.log.unwritten ?? 0
  }

  /** Resolves when all that is spooled would survive a loss of power. */
  async flush(): Promise<void> {
    await Promise.all([...this.#segments].map(segment => segment.log.flush()))
  }

  async close(): Promise<void> {
    for (const segment of this.#segments) {
      await segment.log.close()
      if (segment.waiting === 0) rmSync(segment.log.file)
    }
  }

  #keep(chunk: SpooledChunk): SpooledChunk {
    chunk.segment.waiting += 1
    this.#bytes += chunk.bytes
    return chunk
  }

  #writable(): Segment {
    if (this.#current && this.#current.log.size < this.#limits.segmentBytes) return this.#current
    const file = path.join(this.#folder, `output.${String(this.#nextSegment).padStart(8, '0')}`)
    this.#nextSegment += 1
    const segment = { log: RecordLog.create(file, this.#options), waiting: 0 }
    this.#segments.add(segment)
    this.#current = segment
    return segment
  }

  #drop(segment: Segment): void {
    this.#segments.delete(segment)
    if (this.#current === segment) this.#current = undefined
    rmSync(segment.log.file)
    segment.log.close().catch(() => undefined)
  }

  #files(): Array<{ name: string; number: number }> {
    return readdirSync(this.#folder)
      .filter(name => /^output\.\d+$/.test(name))
      .map(name => ({ name, number: Number(name.slice('output.'.length)) }))
      .sort((a, b) => a.number - b.number)
  }
}
