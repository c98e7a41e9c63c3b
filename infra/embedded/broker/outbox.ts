import type { Socket } from 'node:net'

// Below this, messages are copied together into one write; above, a write of their own is cheaper than the copy.
const directBytes = 16 * 1024
const flushBytes = 64 * 1024

/**
 * Writes to one client, gathered into few system calls: callers `flush` when they are done for now. Knows how much the
 * client still has to take and since when it has taken nothing.
 */
export class Outbox {
  readonly #socket: Socket
  #parts: Buffer[] = []
  #gathered = 0
  #lastProgress = Date.now()

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Bytes not yet taken by the operating system. */
  get pending(): number {
    return this.#gathered + this.#socket.writableLength
  }

  write(line: string, payload?: Buffer): void {
    this.#push(Buffer.from(line, 'latin1'))
    if (!payload) return
    const direct = payload.length > directBytes
    if (direct) this.flush()
    this.#push(payload)
    if (direct) this.flush()
  }

  flush(): void {
    if (this.#gathered === 0) return
    const [first] = this.#parts
    const bytes = first && this.#parts.length === 1 ? first : Buffer.concat(this.#parts, this.#gathered)
    this.#parts = []
    this.#gathered = 0
    if (this.#socket.writableLength === 0) this.#lastProgress = Date.now()
    this.#socket.write(bytes, () => {
      this.#lastProgress = Date.now()
    })
  }

  /** Milliseconds for which the client has left written bytes lying; 0 when it has taken all. */
  stalledFor(now: number): number {
    return this.#socket.writableLength === 0 ? 0 : now - this.#lastProgress
  }

  #push(bytes: Buffer): void {
    this.#parts.push(bytes)
    this.#gathered += bytes.length
    if (this.#gathered >= flushBytes) this.flush()
  }
}
