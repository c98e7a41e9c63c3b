import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Periods } from './periods.ts'

/** As seen by whoever connects: `there` is what it sends, `back` what it is answered. */
export type Direction = 'there' | 'back'
/** What becomes of bytes: they pass, wait until they may pass, get lost, or pass so many milliseconds later. */
export type Rule = 'pass' | 'hold' | 'drop' | number

type Teardown = { teardown(fn: () => unknown): unknown }
type Way = { to: Socket; held: Buffer[]; late: Promise<unknown>; queued: number }
type Connection = Record<Direction, Way>
export type ProxyOptions = {
  /** Where connections go on to; asked for each. */
  to(): NetConnectOpts
  /** Path of the Unix socket, or address and port (0: any), to listen on; 127.0.0.1 and any port by default. */
  on?: { path: string } | { host: string; port: number }
}

const way = (to: Socket): Way => ({ to, held: [], late: Promise.resolve(), queued: 0 })

/** In the order of the calls, whatever each of them waits. */
function sendLater(way: Way, bytes: Buffer, milliseconds: number): void {
  const due = delay(milliseconds)
  way.queued += 1
  way.late = way.late
    .then(() => due)
    .then(() => {
      way.queued -= 1
      way.to.write(bytes)
    })
}

/** A line between two processes that a test can hold up, delay, drain and cut; it knows nothing of what passes. */
export class ProxyLine {
  /** When nothing passed in one direction at least. */
  readonly blocked = new Periods()
  readonly #server: Server
  readonly #to: () => NetConnectOpts
  readonly #connections = new Set<Connection>()
  readonly #rules: Record<Direction, Rule> = { there: 'pass', back: 'pass' }
  readonly #listeners = new Set<(direction: Direction, bytes: Buffer) => void>()
  #stopAt: { direction: Direction; text: string; reached(): void } | undefined
  #refusing = false

  private constructor(to: () => NetConnectOpts) {
    this.#to = to
    this.#server = createServer(client => this.#accept(client))
  }

  static async start(t: Teardown, { to, on = { host: '127.0.0.1', port: 0 } }: ProxyOptions): Promise<ProxyLine> {
    const proxy = new ProxyLine(to)
    if ('path' in on) rmSync(on.path, { force: true })
    proxy.#server.listen(on)
    await once(proxy.#server, 'listening')
    t.teardown(() => proxy.#end())
    return proxy
  }

  get port(): number {
    const address: AddressInfo | string | null = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('this line has no port')
    return address.port
  }

  /** From now on, on every connection; what was held passes when the rule no longer is `hold`. */
  rule(direction: Direction, rule: Rule): void {
    this.#rules[direction] = rule
    this.blocked.is(Object.values(this.#rules).some(each => each === 'hold' || each === 'drop'))
    if (this.#stopAt?.direction === direction) this.#stopAt = undefined
    if (rule === 'hold') return
    for (const connection of this.#connections) {
      for (const bytes of connection[direction].held.splice(0)) this.#forward(connection, direction, bytes)
    }
  }

  /** Lets pass what comes before this text and holds it and what follows; resolves when that has happened. */
  holdFrom(direction: Direction, text: string): Promise<void> {
    return new Promise(reached => {
      this.#stopAt = { direction, text, reached }
    })
  }

  /** Everything that waits in this direction. */
  held(direction: Direction): string {
    return [...this.#connections].map(each => Buffer.concat(each[direction].held).toString('latin1')).join('\n')
  }

  /** Hears all bytes as they come in, whatever becomes of them. Answers how to stop listening. */
  watch(listener: (direction: Direction, bytes: Buffer) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Breaks every connection; what is held is lost. */
  cut(): void {
    for (const { there, back } of this.#connections) {
      there.to.destroy()
      back.to.destroy()
    }
  }

  /** Whether new connections are turned away. */
  refuse(refusing: boolean): void {
    this.#refusing = refusing
  }

  #accept(client: Socket): void {
    if (this.#refusing) return void client.destroy()
    const server = connect(this.#to())
    const connection: Connection = { there: way(server), back: way(client) }
    this.#connections.add(connection)
    const over = () => {
      this.#connections.delete(connection)
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) socket.setNoDelay(true).on('error', over).on('close', over)
    client.on('data', bytes => this.#take(connection, 'there', bytes)).on('end', () => server.end())
    server.on('data', bytes => this.#take(connection, 'back', bytes)).on('end', () => client.end())
  }

  #take(connection: Connection, direction: Direction, bytes: Buffer): void {
    for (const listener of this.#listeners) listener(direction, bytes)
    const stop = this.#stopAt
    const at = stop?.direction === direction ? bytes.indexOf(stop.text) : -1
    if (stop && at >= 0) {
      this.#forward(connection, direction, bytes.subarray(0, at))
      this.rule(direction, 'hold')
      connection[direction].held.push(bytes.subarray(at))
      stop.reached()
    } else this.#forward(connection, direction, bytes)
  }

  #forward(connection: Connection, direction: Direction, bytes: Buffer): void {
    const rule = this.#rules[direction]
    const to = connection[direction]
    if (rule === 'hold') to.held.push(bytes)
    else if (rule === 'pass' && to.queued === 0) to.to.write(bytes)
    else if (rule !== 'drop') sendLater(to, bytes, rule === 'pass' ? 0 : rule)
  }

  async #end(): Promise<void> {
    this.cut()
    await new Promise(resolve => this.#server.close(resolve))
  }
}
