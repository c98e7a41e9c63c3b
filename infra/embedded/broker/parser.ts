import {
  type Operation,
  ProtocolError,
  type PublishLine,
  parserError,
  readOperation,
  readPublish,
  readVerb,
  type Verb,
} from './operations.ts'

export type ParserOptions = {
  /** Bytes of a control line with its line end. */
  maxControlLine: number
  /** Bytes of headers and payload together. */
  maxPayload: number
  /** Called as soon as the verb of a line is known, before anything is stored for it; throws to refuse it. */
  admit: (verb: Verb) => void
  handle: (operation: Operation) => void
}

const lineFeed = 10
const carriageReturn = 13

/**
 * Reads operations from a byte stream cut at any place. Holds at most one control line and one payload. After a
 * ProtocolError thrown from `feed`, or `stop`, it takes nothing more.
 */
export class Parser {
  readonly #options: ParserOptions
  readonly #line: Buffer
  #lineBytes = 0
  #publish: PublishLine | undefined
  #payload: Buffer | undefined
  #payloadBytes = 0
  #stopped = false

  constructor(options: ParserOptions) {
    this.#options = options
    this.#line = Buffer.alloc(options.maxControlLine)
  }

  stop(): void {
    this.#stopped = true
    this.#payload = undefined
  }

  feed(chunk: Buffer): void {
    let at = 0
    try {
      while (at < chunk.length && !this.#stopped) {
        at = this.#publish ? this.#readPayload(this.#publish, chunk, at) : this.#readLine(chunk, at)
      }
    } catch (error) {
      this.stop()
      throw error
    }
  }

  #readLine(chunk: Buffer, start: number): number {
    const end = chunk.indexOf(lineFeed, start)
    const stop = end === -1 ? chunk.length : end
    if (this.#lineBytes + (stop - start) >= this.#options.maxControlLine) {
      throw new ProtocolError('Maximum Control Line Exceeded')
    }
    if (end === -1 || this.#lineBytes > 0) {
      chunk.copy(this.#line, this.#lineBytes, start, stop)
      this.#lineBytes += stop - start
    }
    if (end === -1) return chunk.length
    if (this.#lineBytes > 0) {
      this.#control(this.#line, 0, this.#lineBytes)
      this.#lineBytes = 0
    } else {
      this.#control(chunk, start, end)
    }
    return end + 1
  }

  #control(bytes: Buffer, start: number, end: number): void {
    // Latin-1 keeps every byte as it is, so that a subject in any encoding leaves as it came.
    const withoutReturn = end > start && bytes[end - 1] === carriageReturn ? end - 1 : end
    const { verb, rest } = readVerb(bytes.toString('latin1', start, withoutReturn))
    this.#options.admit(verb)
    if (verb === 'PUB' || verb === 'HPUB') {
      this.#publish = readPublish(verb, rest)
      if (this.#publish.totalBytes > this.#options.maxPayload) throw new ProtocolError('Maximum Payload Violation')
    } else {
      this.#options.handle(readOperation(verb, rest))
    }
  }

  #readPayload(line: PublishLine, chunk: Buffer, start: number): number {
    const total = line.totalBytes + 2 // the closing CR LF
    if (!this.#payload && chunk.length - start >= total) {
      this.#finish(line, chunk.subarray(start, start + total))
      return start + total
    }
    this.#payload ??= Buffer.allocUnsafeSlow(total)
    const copied = chunk.copy(this.#payload, this.#payloadBytes, start, start + total - this.#payloadBytes)
    this.#payloadBytes += copied
    if (this.#payloadBytes === total) this.#finish(line, this.#payload)
    return start + copied
  }

  #finish(line: PublishLine, bytes: Buffer): void {
    if (bytes[line.totalBytes] !== carriageReturn || bytes[line.totalBytes + 1] !== lineFeed) throw parserError()
    this.#publish = undefined
    this.#payload = undefined
    this.#payloadBytes = 0
    const { subject, replyTo, headerBytes } = line
    this.#options.handle({ op: 'publish', subject, replyTo, headerBytes, payload: bytes.subarray(0, line.totalBytes) })
  }
}
