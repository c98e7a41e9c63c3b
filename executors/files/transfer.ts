import type { Source } from '../artifacts.ts'
import type { SftpSession } from './session.ts'

/** Every server takes packets of this size; so many on their way keep a line with a long delay busy. */
const PART_BYTES = 32 * 1024
const AT_ONCE = 32

export type Progress = {
  signal: AbortSignal
  /** Called with how much is over for certain, from the beginning without a hole. */
  reached(bytes: number): void
}

/** The signal was given. */
export class Stopped extends Error {
  override name = 'Stopped'
}

/** Writes the source from an offset on. Rejects with what the session or the source rejects, or with Stopped. */
export async function upload(
  session: SftpSession,
  handle: Buffer,
  source: Source,
  from: number,
  { signal, reached }: Progress,
): Promise<void> {
  const window = new Window(reached)
  for (let offset = from; offset < source.bytes; ) {
    const bytes = await source.read(offset, signal)
    if (bytes.length === 0) throw new RangeError('a source ended before its length')
    for (let at = 0; at < bytes.length; at += PART_BYTES) {
      if (signal.aborted) throw new Stopped()
      const part = bytes.subarray(at, at + PART_BYTES)
      await window.add(session.write(handle, part, offset + at), offset + at + part.length)
    }
    offset += bytes.length
  }
  await window.drained()
}

/** Reads from an offset to the end of the file, in order. Rejects like `upload`, or with what `take` rejects. */
export async function download(
  session: SftpSession,
  handle: Buffer,
  from: number,
  take: (bytes: Buffer) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const waiting: Array<{ offset: number; bytes: Promise<Buffer> }> = []
  let next = from
  const ask = (offset: number, length = PART_BYTES) => {
    const bytes = session.read(handle, offset, length)
    bytes.catch(() => undefined)
    return { offset, bytes }
  }
  for (;;) {
    while (waiting.length < AT_ONCE) {
      waiting.push(ask(next))
      next += PART_BYTES
    }
    const first = waiting.shift()
    if (!first) return
    let bytes = await first.bytes
    if (signal.aborted) throw new Stopped()
    if (bytes.length === 0) return
    await take(bytes)
    // A server may give less than was asked for anywhere, not only at the end.
    for (let got = bytes.length; got < PART_BYTES; got += bytes.length) {
      bytes = await ask(first.offset + got, PART_BYTES - got).bytes
      if (bytes.length === 0) return
      await take(bytes)
    }
  }
}

/** Lets so many requests be on their way; tells up to where they were answered. */
class Window {
  readonly #reached: (bytes: number) => void
  #waiting: Array<{ done: Promise<void>; end: number }> = []

  constructor(reached: (bytes: number) => void) {
    this.#reached = reached
  }

  async add(done: Promise<void>, end: number): Promise<void> {
    done.catch(() => undefined)
    this.#waiting.push({ done, end })
    if (this.#waiting.length >= AT_ONCE) await this.#first()
  }

  async drained(): Promise<void> {
    while (this.#waiting.length > 0) await this.#first()
  }

  async #first(): Promise<void> {
    const first = this.#waiting.shift()
    if (!first) return
    await first.done
    this.#reached(first.end)
  }
}
