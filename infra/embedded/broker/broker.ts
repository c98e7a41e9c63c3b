import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { Connection, type Hub } from './connection.ts'
import { type BrokerOptions, type BrokerSettings, brokerSettings, needsAuth } from './options.ts'
import { Router } from './router.ts'

export type BrokerStats = { connections: number; subscriptions: number; slowConsumers: number }

export type RunningBroker = {
  port: number
  stats(): BrokerStats
  /** Hangs up on everybody. Messages on their way are lost, as the protocol allows. */
  stop(): Promise<void>
}

// The protocol level served here is that of nats-server 2.9 without JetStream, accounts and clusters.
const servedVersion = '2.9.0'

/**
 * Starts a broker that speaks the core NATS client protocol and keeps nothing.
 * Throws BrokerOptionsError, or the system's error when the port is taken.
 */
export async function runBroker(options: BrokerOptions = {}): Promise<RunningBroker> {
  const broker = new Broker(brokerSettings(options))
  await broker.start()
  return { port: broker.port, stats: () => broker.stats(), stop: () => broker.stop() }
}

class Broker implements Hub {
  readonly settings: BrokerSettings
  readonly router = new Router()
  readonly #connections = new Set<Connection>()
  readonly #unflushed = new Set<Connection>()
  readonly #server: Server
  readonly #serverId = randomBytes(16).toString('hex')
  #clock: NodeJS.Timeout | undefined
  #lastId = 0
  #slowConsumers = 0
  port = 0

  constructor(settings: BrokerSettings) {
    this.settings = settings
    this.#server = createServer(socket => this.#accept(socket))
    this.#server.maxConnections = settings.maxConnections
  }

  async start(): Promise<void> {
    this.#server.listen(this.settings.port, this.settings.host)
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (address && typeof address === 'object') this.port = address.port
    this.#clock = setInterval(() => this.#tick(), this.#tickMs())
    this.settings.log.info({ host: this.settings.host, port: this.port }, 'broker listening')
  }

  async stop(): Promise<void> {
    clearInterval(this.#clock)
    const closed = new Promise(resolve => this.#server.close(resolve))
    this.#flushAll()
    for (const connection of this.#connections) connection.destroy('the broker stops')
    await closed
  }

  stats(): BrokerStats {
    return {
      connections: this.#connections.size,
      subscriptions: this.router.size,
      slowConsumers: this.#slowConsumers,
    }
  }

  wrote(connection: Connection): void {
    // One flush after everything that came in with this turn of the event loop.
    if (this.#unflushed.size === 0) setImmediate(() => this.#flushAll())
    this.#unflushed.add(connection)
  }

  ended(connection: Connection, why: string): void {
    this.#connections.delete(connection)
    this.#unflushed.delete(connection)
    if (why === 'slow consumer') this.#slowConsumers += 1
    this.settings.log.info({ connection: connection.id, user: connection.user, why }, 'client gone')
  }

  #accept(socket: Socket): void {
    this.#lastId += 1
    const info = { ...this.#info(), client_id: this.#lastId, client_ip: socket.remoteAddress ?? '' }
    this.#connections.add(new Connection(this.#lastId, socket, this, info))
  }

  #info(): object {
    return {
      server_id: this.#serverId,
      server_name: 'opsconductor-embedded',
      version: servedVersion,
      go: 'none',
      proto: 1,
      host: this.settings.host,
      port: this.port,
      headers: true,
      max_payload: this.settings.maxPayload,
      auth_required: needsAuth(this.settings),
    }
  }

  #flushAll(): void {
    for (const connection of this.#unflushed) connection.flush()
    this.#unflushed.clear()
  }

  #tick(): void {
    const now = Date.now()
    for (const connection of [...this.#connections]) connection.tick(now)
  }

  #tickMs(): number {
    const { authTimeoutMs, pingIntervalMs, writeDeadlineMs } = this.settings
    return Math.max(10, Math.min(authTimeoutMs, pingIntervalMs, writeDeadlineMs) / 4)
  }
}
