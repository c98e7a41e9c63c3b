import { createHash } from 'node:crypto'
import type { Clock } from '../../infra/clock.ts'
import type { OutputChunk } from '../../schemas/bus.ts'
import type { OutputDigest } from '../../schemas/target-run.ts'
import { type Frame, FrameAssembler, type Stream } from './frames.ts'
import { Masker, type MaskSet } from './masker.ts'

export type AttemptId = Pick<OutputChunk, 'runId' | 'n' | 'epoch' | 'stepId' | 'attempt'>
/** Chunks from..to that could not be kept. */
export type Gap = { from: number; to: number }

export type AttemptOutputOptions = {
  id: AttemptId
  masks: MaskSet
  /** More than this is read but not kept. */
  capBytes: number
  /** So much of the beginning of standard output is kept here, masked, for whoever looks for values in it. */
  captureBytes: number
  clock: Clock
  /** Hands a chunk on; false when there is no room for it. */
  keep(chunk: OutputChunk): boolean
}

/** One attempt's output on its way out: masked, framed, numbered, capped and hashed. */
export class AttemptOutput {
  readonly #options: AttemptOutputOptions
  readonly #frames: FrameAssembler
  readonly #maskers: Record<Stream, Masker>
  readonly #hash = createHash('sha256')
  readonly #gaps: Gap[] = []
  readonly #captured: Buffer[] = []
  #capturing: number
  #seq = 0
  #offset = 0
  #kept = { bytes: 0, chunks: 0 }
  #truncated = false

  constructor(options: AttemptOutputOptions) {
    this.#options = options
    this.#capturing = options.captureBytes
    this.#frames = new FrameAssembler(frame => this.#take(frame))
    this.#maskers = { stdout: new Masker(options.masks), stderr: new Masker(options.masks) }
  }

  push(stream: Stream, bytes: Buffer): void {
    // Past the cap nothing is masked or framed: an endless command must not cost more than the reading.
    if (!this.#truncated) this.#pass(stream, this.#maskers[stream].push(bytes))
  }

  /** Flushes. The digest is over the chunks that were kept, in their order. */
  end(): { digest: OutputDigest; gaps: Gap[] } {
    for (const stream of ['stdout', 'stderr'] as const) {
      if (!this.#truncated) this.#pass(stream, this.#maskers[stream].end())
    }
    this.#frames.end()
    const truncated = this.#truncated || this.#gaps.length > 0
    return { digest: { ...this.#kept, sha256: this.#hash.digest('hex'), truncated }, gaps: this.#gaps }
  }

  /** The beginning of standard output, complete only after `end`. */
  captured(): Buffer {
    return Buffer.concat(this.#captured)
  }

  #pass(stream: Stream, masked: Buffer): void {
    if (stream === 'stdout' && this.#capturing > 0) {
      const part = masked.subarray(0, this.#capturing)
      this.#capturing -= part.length
      this.#captured.push(Buffer.from(part))
    }
    this.#frames.push(stream, masked)
  }

  #take(frame: Frame): void {
    const room = this.#options.capBytes - this.#offset
    if (frame.bytes.length > room) this.#truncated = true
    const bytes = frame.bytes.subarray(0, Math.max(0, room))
    if (bytes.length === 0) return
    this.#seq += 1
    const { id, clock } = this.#options
    const chunk = {
      ...{ runId: id.runId, n: id.n, stepId: id.stepId, attempt: id.attempt, epoch: id.epoch },
      ...{ seq: this.#seq, stream: frame.stream, byteOffset: this.#offset, at: clock.now() },
      data: bytes.toString('base64'),
    }
    this.#offset += bytes.length
    if (this.#options.keep(chunk)) {
      this.#kept = { bytes: this.#kept.bytes + bytes.length, chunks: this.#kept.chunks + 1 }
      this.#hash.update(bytes)
    } else this.#missed(this.#seq)
  }

  #missed(seq: number): void {
    const last = this.#gaps.at(-1)
    if (last?.to === seq - 1) last.to = seq
    else this.#gaps.push({ from: seq, to: seq })
  }
}
