import { availableParallelism } from 'node:os'
import type { ClientChannel, SFTPWrapper } from 'ssh2'
import { Limit } from '../limit.ts'
import { pause } from '../wait.ts'
import { type ConnectOptions, connectSsh, type SshConnection } from './connection.ts'
import { ChannelRefused, SshFailure } from './failure.ts'

/** Who logs in where: connections are shared by those who agree in all of it. */
export type Endpoint = {
  targetId: string
  address: string
  port: number
  username: string
  credentialId: string
  version: number
  /** Shared by nobody but this run: what lets it in was made for it. */
  onlyFor?: string
}
export type AcquireOptions = Omit<ConnectOptions, 'address' | 'port' | 'username' | 'handshakes'> & {
  endpoint: Endpoint
}

/** The right to one channel of a connection. */
export type Lease = {
  connection: SshConnection
  /** Opens the channel; at a refusal the pool learns how many this server allows. */
  exec<T>(command: string, attach: (channel: ClientChannel) => T): Promise<T>
  /** Opens it for file transfer; the same applies. */
  sftp(): Promise<SFTPWrapper>
  release(): void
}

export type PoolLimits = {
  connectionsPerEndpoint: number
  /** OpenSSH allows ten sessions on a connection; the rest is kept free for stopping commands. */
  channelsPerConnection: number
  connections: number
  handshakes: number
  idleMs: number
}
const defaults: PoolLimits = {
  connectionsPerEndpoint: 2,
  channelsPerConnection: 8,
  connections: 1_000,
  handshakes: 12 * availableParallelism(),
  idleMs: 90_000,
}
const BUSY_RETRIES = 3

type Pooled = {
  connection: SshConnection
  used: number
  /** Channels that the server has opened and that are still held. */
  opened: number
  lastUsed: number
  /** Ends when the last of its channels is given back. */
  retired: boolean
  idle?: NodeJS.Timeout
}
type Place = {
  key: string
  open: Pooled[]
  opening: number
  waiting: Array<() => void>
  asking: number
  channels: number
}

/** A connection outside every pool and limit. The caller ends it. Rejects with SshFailure. */
export function connectAside({ endpoint, ...options }: AcquireOptions): Promise<SshConnection> {
  const { address, port, username } = endpoint
  return connectSsh({ ...options, address, port, username, handshakes: new Limit(1) })
}

/** Keeps connections open between commands, shares them, and bounds how many there are. */
export class ConnectionPool {
  readonly #limits: PoolLimits
  readonly #places = new Map<string, Place>()
  readonly #handshakes: Limit
  #count = 0

  constructor(limits: Partial<PoolLimits> = {}) {
    this.#limits = { ...defaults, ...limits }
    this.#handshakes = new Limit(this.#limits.handshakes)
  }

  /** A channel on an open connection, on a new one, or as soon as one is free. Rejects with SshFailure. */
  async acquire(options: AcquireOptions): Promise<Lease> {
    const place = this.#place(options.endpoint)
    place.asking += 1
    try {
      for (;;) {
        if (options.signal.aborted) throw new SshFailure('cancelled', 'given up')
        this.#retireOthers(place, options.knownHostKey)
        const free = place.open.find(pooled => pooled.used < place.channels)
        if (free) return this.#lease(place, free)
        if (this.#mayOpen(place)) return await this.#open(place, options)
        await this.#turn(place, options.signal)
      }
    } finally {
      place.asking -= 1
      this.#forget(place)
    }
  }

  get size(): number {
    return this.#count
  }

  /** Ends all connections, used or not. */
  close(): void {
    for (const place of this.#places.values()) for (const pooled of [...place.open]) pooled.connection.end()
  }

  #place({ targetId, address, port, username, credentialId, version, onlyFor }: Endpoint): Place {
    const key = JSON.stringify([targetId, address, port, username, credentialId, version, onlyFor])
    const channels = this.#limits.channelsPerConnection
    const place = this.#places.get(key) ?? { key, open: [], opening: 0, waiting: [], asking: 0, channels }
    this.#places.set(key, place)
    return place
  }

  /** The key to expect was changed since: what is open may lead to the wrong machine. */
  #retireOthers(place: Place, known: string | undefined): void {
    if (known === undefined) return
    for (const pooled of [...place.open]) if (pooled.connection.hostKey !== known) this.#retire(place, pooled)
  }

  #mayOpen(place: Place): boolean {
    const soonFree = place.opening * place.channels > place.waiting.length
    return !soonFree && place.open.length + place.opening < this.#limits.connectionsPerEndpoint
  }

  async #open(place: Place, options: AcquireOptions): Promise<Lease> {
    place.opening += 1
    this.#makeRoom()
    this.#count += 1
    try {
      const connection = await this.#connect(options)
      const pooled = { connection, used: 0, opened: 0, lastUsed: performance.now(), retired: false }
      place.open.push(pooled)
      void connection.closed.then(() => this.#gone(place, pooled))
      return this.#lease(place, pooled)
    } catch (error) {
      this.#count -= 1
      throw error
    } finally {
      place.opening -= 1
      // Whoever waited finds a free channel now, or opens its own connection after a failure.
      this.#wake(place)
    }
  }

  async #connect({ endpoint, ...options }: AcquireOptions): Promise<SshConnection> {
    const { address, port, username } = endpoint
    for (let failures = 0; ; failures += 1) {
      try {
        return await connectSsh({ ...options, address, port, username, handshakes: this.#handshakes })
      } catch (error) {
        const busy = error instanceof SshFailure && error.transient
        if (!busy || failures === BUSY_RETRIES) throw error
        await pause(100 * 2 ** failures * (0.5 + Math.random()), options.signal)
      }
    }
  }

  #lease(place: Place, pooled: Pooled): Lease {
    clearTimeout(pooled.idle)
    pooled.used += 1
    let released = false
    let opened = false
    const open = async <T>(channel: Promise<T>): Promise<T> => {
      try {
        const given = await channel
        if (!opened) pooled.opened += 1
        opened = true
        return given
      } catch (error) {
        if (error instanceof ChannelRefused) place.channels = Math.max(1, Math.min(place.channels, pooled.opened))
        throw error
      }
    }
    return {
      connection: pooled.connection,
      exec: (command, attach) => open(pooled.connection.exec(command, attach)),
      sftp: () => open(pooled.connection.sftp()),
      release: () => {
        if (released) return
        released = true
        pooled.used -= 1
        if (opened) pooled.opened -= 1
        pooled.lastUsed = performance.now()
        this.#released(place, pooled)
      },
    }
  }

  #released(place: Place, pooled: Pooled): void {
    if (pooled.used === 0) {
      if (!pooled.connection.isOpen()) pooled.connection.masks.wipe()
      else if (pooled.retired) pooled.connection.end()
      // Spread, so that what was opened together does not end together.
      else {
        const ms = this.#limits.idleMs * (0.7 + Math.random() * 0.6)
        pooled.idle = setTimeout(() => this.#retire(place, pooled), ms).unref()
      }
    }
    this.#wake(place)
  }

  #retire(place: Place, pooled: Pooled): void {
    place.open = place.open.filter(each => each !== pooled)
    clearTimeout(pooled.idle)
    pooled.retired = true
    if (pooled.used === 0) pooled.connection.end()
  }

  #gone(place: Place, pooled: Pooled): void {
    this.#count -= 1
    clearTimeout(pooled.idle)
    place.open = place.open.filter(each => each !== pooled)
    // While output is still being read its secrets must stay known.
    if (pooled.used === 0) pooled.connection.masks.wipe()
    this.#wake(place)
    this.#forget(place)
  }

  #forget(place: Place): void {
    if (place.open.length + place.opening + place.asking === 0) this.#places.delete(place.key)
  }

  /** At the limit the connection that was idle longest makes room for the new one. */
  #makeRoom(): void {
    if (this.#count < this.#limits.connections) return
    let oldest: { place: Place; pooled: Pooled } | undefined
    for (const place of this.#places.values()) {
      for (const pooled of place.open) {
        if (pooled.used === 0 && pooled.lastUsed < (oldest?.pooled.lastUsed ?? Infinity)) oldest = { place, pooled }
      }
    }
    if (oldest) this.#retire(oldest.place, oldest.pooled)
  }

  #turn(place: Place, signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        signal.removeEventListener('abort', done)
        place.waiting = place.waiting.filter(each => each !== done)
        resolve()
      }
      signal.addEventListener('abort', done, { once: true })
      place.waiting.push(done)
    })
  }

  #wake(place: Place): void {
    for (const waiting of [...place.waiting]) waiting()
  }
}
