import type { ServerWritableStream } from '@grpc/grpc-js'

/** A call that streams ready-made message bytes to its client. */
export type ByteStream<Request> = ServerWritableStream<Request, Buffer>

/**
 * Writes to one reader no faster than it reads: once gRPC's buffer is full, `send` answers a promise to wait for. So a
 * slow subscriber costs at most one page of events, whatever is appended meanwhile.
 */
export class Outbox {
  readonly #call: ByteStream<unknown>
  readonly #onClosed = new Set<() => void>()
  #closed = false

  constructor(call: ByteStream<unknown>) {
    this.#call = call
    const close = () => {
      this.#closed = true
      for (const listener of this.#onClosed) listener()
    }
    call.on('cancelled', close)
    call.on('close', close)
    call.on('error', close)
  }

  get closed(): boolean {
    return this.#closed || this.#call.cancelled
  }

  /** Sends a message; wait for the answer, if there is one, before the next. */
  send(message: Buffer): Promise<void> | undefined {
    if (this.closed || this.#call.write(message)) return undefined
    return this.until(wake => {
      this.#call.once('drain', wake)
      return () => this.#call.off('drain', wake)
    })
  }

  /** Waits until `subscribe` calls back or the call is closed. */
  until(subscribe: (wake: () => void) => () => void): Promise<void> {
    if (this.closed) return Promise.resolve()
    return new Promise(resolve => {
      const wake = () => {
        this.#onClosed.delete(wake)
        unsubscribe()
        resolve()
      }
      this.#onClosed.add(wake)
      const unsubscribe = subscribe(wake)
    })
  }

  end(): void {
    if (!this.closed) this.#call.end()
  }
}
