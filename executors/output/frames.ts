export type Stream = 'stdout' | 'stderr'
export type Frame = { stream: Stream; bytes: Buffer }

const FLUSH_BYTES = 32 * 1024
const FRAME_BYTES = 64 * 1024
const FLUSH_MS = 100
/** Streams that take turns faster than this within one flush are put together, so that frames stay few. */
const MOST_TURNS = 32

/**
 * Gathers what two streams wrote, in the order it was read, into frames of at most 64 kB: the first bytes after a
 * pause leave at once, what follows waits for 32 kB or 100 ms.
 */
export class FrameAssembler {
  readonly #emit: (frame: Frame) => void
  #turns: Array<{ stream: Stream; parts: Buffer[] }> = []
  #bytes = 0
  #timer: NodeJS.Timeout | undefined

  constructor(emit: (frame: Frame) => void) {
    this.#emit = emit
  }

  push(stream: Stream, bytes: Buffer): void {
    if (bytes.length === 0) return
    const last = this.#turns.at(-1)
    if (last?.stream === stream) last.parts.push(bytes)
    else this.#turns.push({ stream, parts: [bytes] })
    this.#bytes += bytes.length
    if (this.#bytes >= FLUSH_BYTES || this.#timer === undefined) this.flush()
  }

  flush(): void {
    const turns = this.#turns.length > MOST_TURNS ? byStream(this.#turns) : this.#turns
    this.#turns = []
    this.#bytes = 0
    for (const { stream, parts } of turns) {
      const whole = parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)
      for (let at = 0; at < whole.length; at += FRAME_BYTES) {
        this.#emit({ stream, bytes: whole.subarray(at, at + FRAME_BYTES) })
      }
    }
    this.#timer ??= setTimeout(() => this.#pauseOver(), FLUSH_MS)
  }

  /** Nothing may follow. */
  end(): void {
    this.flush()
    clearTimeout(this.#timer)
  }

  #pauseOver(): void {
    this.#timer = undefined
    if (this.#bytes > 0) this.flush()
  }
}

function byStream(turns: Array<{ stream: Stream; parts: Buffer[] }>) {
  return (['stdout', 'stderr'] as const).map(stream => ({
    stream,
    parts: turns.filter(turn => turn.stream === stream).flatMap(turn => turn.parts),
  }))
}
