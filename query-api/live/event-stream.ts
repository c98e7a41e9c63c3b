import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Reply, Request } from '../../infra/http/index.ts'

export type ServerEvent = { id: string; event: string; data: unknown }

const HEARTBEAT_MS = 15_000
const SLOW_MS = 20_000
const LAST_WORDS_MS = 2_000

/**
 * One client that reads `text/event-stream` (WHATWG HTML, section 9.2). Waits while the client does not read, so that
 * nothing piles up; one that does not read for 20 s is told to come back and is let go.
 */
export class EventStream {
  readonly #response: ServerResponse
  readonly #over = new AbortController()
  readonly #heartbeat: NodeJS.Timeout
  #lastId = ''

  constructor(request: Request, reply: Reply) {
    reply.hijack()
    this.#response = reply.raw
    // What every answer says, which a hijacked one would not.
    for (const [name, value] of Object.entries(reply.getHeaders())) if (value) this.#response.setHeader(name, value)
    this.#response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
      connection: 'close',
    })
    this.#response.flushHeaders()
    this.#response.on('close', () => this.#over.abort()).on('error', () => this.#over.abort())
    request.raw.socket.setNoDelay(true)
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS)
    this.#over.signal.addEventListener('abort', () => clearInterval(this.#heartbeat), { once: true })
  }

  /** Aborts when the client is gone or was let go. */
  get over(): AbortSignal {
    return this.#over.signal
  }

  /** Writes events in one go; resolves when the client has room for more, false when it is gone. */
  async send(events: readonly ServerEvent[]): Promise<boolean> {
    if (events.length === 0) return !this.over.aborted
    if (this.over.aborted) return false
    this.#lastId = events.at(-1)?.id ?? this.#lastId
    if (this.#response.write(events.map(format).join(''))) return true
    const drained = await once(this.#response, 'drain', {
      signal: AbortSignal.any([this.over, AbortSignal.timeout(SLOW_MS)]),
    }).then(
      () => true,
      () => false,
    )
    if (!drained && !this.over.aborted) this.#letGo('slow')
    return drained
  }

  /** How far the client is although it was sent nothing: what it resumes by. */
  passed(id: string): void {
    this.#lastId = id
  }

  /** The last event there is: nothing more will come. */
  end(why: string): void {
    if (!this.over.aborted) this.#finish({ id: this.#lastId, event: 'end', data: { why } })
  }

  /** Asks the client to come back with the last id it saw. */
  #letGo(why: string): void {
    this.#finish({ id: this.#lastId, event: 'resume', data: { why } })
  }

  /** The server stops: whoever reads comes back to another one. */
  leave(): void {
    if (!this.over.aborted) this.#letGo('stopping')
  }

  /** What is read may not be read any more: coming back will say so. */
  dismiss(): void {
    if (!this.over.aborted) this.#letGo('access has ended')
  }

  #finish(event: ServerEvent): void {
    const { socket } = this.#response
    this.#response.end(format(event))
    setTimeout(() => socket?.destroy(), LAST_WORDS_MS).unref()
    this.#over.abort()
  }

  #beat(): void {
    if (this.#response.writableNeedDrain) return
    this.#response.write(this.#lastId === '' ? ': still here\n\n' : `id: ${this.#lastId}\n: still here\n\n`)
  }
}

/** An empty id would make the client forget the last one it saw. */
const format = ({ id, event, data }: ServerEvent) =>
  `${id === '' ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
