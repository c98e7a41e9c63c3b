import { setTimeout as delay } from 'node:timers/promises'
import {
  type ConnectionOptions,
  connect,
  Events,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  NatsError,
  headers as natsHeaders,
  type Status,
} from 'nats'
import type { Logger } from 'pino'
import { handlerQueue } from './bus/handler-queue.ts'
import {
  type Bus,
  BusClosed,
  BusDenied,
  BusError,
  type BusHeaders,
  type BusMessage,
  BusMisuse,
  BusNoResponders,
  type BusReply,
  type BusStatus,
  BusTimeout,
  BusUnavailable,
  type MessageHandler,
  type RequestOptions,
  type SubscribeOptions,
  type Subscription,
} from './bus/port.ts'
import { isPublishSubject, isQueueName, isSubscribeSubject } from './bus/subject.ts'
import { type BrokerAddress, parseBrokerUrl } from './bus/url.ts'

export * from './bus/json.ts'
export * from './bus/port.ts'
export { subjectToken } from './bus/subject.ts'

export type BusLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>

export type ConnectBusOptions = {
  /** See parseBrokerUrl. */
  url: string
  /** Shown by the broker's monitoring. */
  name: string
  log: BusLog
  /** How long to wait for the broker at start-up. Default 30,000. */
  startTimeoutMs?: number
}

const flushTimeoutMs = 5_000
const drainTimeoutMs = 5_000

/**
 * Connects to a NATS broker (embedded or nats-server). Waits for it at start-up, reconnects for ever afterwards.
 * Replies come to `_INBOX.<user>.…` so that permissions can keep users out of each other's answers.
 * Throws BusMisuse for a bad URL, BusUnavailable when the broker does not answer in time or refuses the credentials.
 */
export async function connectBus(options: ConnectBusOptions): Promise<Bus> {
  const address = parseBrokerUrl(options.url)
  const connection = await firstConnection(address, options)
  options.log.info({ broker: address.servers }, 'connected to the broker')
  return new NatsBus(connection, options.log)
}

async function firstConnection(address: BrokerAddress, options: ConnectBusOptions): Promise<NatsConnection> {
  const limit = options.startTimeoutMs ?? 30_000
  const deadline = Date.now() + limit
  const where = address.servers.join(', ')
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await connect(connectionOptions(address, options.name))
    } catch (error) {
      if (error instanceof NatsError && error.isAuthError()) {
        throw new BusUnavailable(`The broker at ${where} refused the credentials`)
      }
      const why = error instanceof Error ? error.message : 'no reason given'
      if (Date.now() >= deadline) {
        throw new BusUnavailable(`No NATS broker answered at ${where} within ${limit / 1000} s (${why})`)
      }
      if (attempt === 1) options.log.info({ broker: address.servers, why }, 'waiting for the broker')
      await delay(Math.min(100 + Math.random() * 200, Math.max(1, deadline - Date.now())))
    }
  }
}

function connectionOptions(address: BrokerAddress, name: string): ConnectionOptions {
  return {
    servers: address.servers,
    name,
    ...(address.tls ? { tls: {} } : {}),
    ...(address.token === undefined ? {} : { token: address.token }),
    ...(address.user === undefined ? {} : { user: address.user, pass: address.password ?? '' }),
    inboxPrefix: inboxPrefix(address.user),
    maxReconnectAttempts: -1,
    // Without this the client gives up for good when a restarted broker refuses it twice.
    ignoreAuthErrorAbort: true,
    // Jitter keeps a fleet from knocking at the same instant when the broker is back.
    reconnectDelayHandler: () => 100 + Math.random() * 400,
    timeout: 5_000,
    // TCP does not tell when a link goes silent: two missed pings do, after at most 15 s.
    pingInterval: 5_000,
    maxPingOut: 2,
    noAsyncTraces: true,
  }
}

/** The subject prefix under which this user's answers arrive: what its subscribe permission must allow. */
export function inboxPrefix(user: string | undefined): string {
  return user !== undefined && /^[A-Za-z0-9_-]+$/.test(user) ? `_INBOX.${user}` : '_INBOX'
}

class NatsBus implements Bus {
  readonly #connection: NatsConnection
  readonly #log: BusLog
  readonly #listeners = new Set<(status: BusStatus) => void>()
  readonly #subscriptions = new Set<Subscription>()
  #status: BusStatus = 'connected'
  #closing: Promise<void> | undefined
  #dropped = 0

  constructor(connection: NatsConnection, log: BusLog) {
    this.#connection = connection
    this.#log = log
    void this.#watch()
  }

  publish(subject: string, data: Uint8Array | string, headers?: BusHeaders): void {
    if (!isPublishSubject(subject)) throw new BusMisuse(`Not a subject to publish to: ${JSON.stringify(subject)}`)
    this.#refuseWhenClosed()
    this.#send(subject, data, headers)
  }

  async request(subject: string, data: Uint8Array | string, options: RequestOptions): Promise<BusReply> {
    if (!isPublishSubject(subject)) throw new BusMisuse(`Not a subject to publish to: ${JSON.stringify(subject)}`)
    this.#refuseWhenClosed()
    const deadline = Date.now() + options.timeoutMs
    if (this.#status !== 'connected') await this.#connectedWithin(options.timeoutMs)
    const lost = this.#statusChange()
    try {
      const timeout = Math.max(1, deadline - Date.now())
      const headers = options.headers ? { headers: toNatsHeaders(options.headers) } : {}
      const answer = this.#connection.request(subject, data, { timeout, ...headers })
      // When the connection goes first, the client still times the request out: nobody is left to hear of it.
      answer.catch(() => undefined)
      const reply = await Promise.race([answer, lost.promise])
      if (reply === undefined) throw new BusTimeout(`The connection was lost while waiting for an answer on ${subject}`)
      return { data: reply.data, headers: fromNatsHeaders(reply.headers) }
    } catch (error) {
      throw toBusError(error, subject)
    } finally {
      lost.cancel()
    }
  }

  subscribe(subject: string, handler: MessageHandler, options: SubscribeOptions = {}): Subscription {
    if (!isSubscribeSubject(subject)) throw new BusMisuse(`Not a subject to subscribe to: ${JSON.stringify(subject)}`)
    if (options.queue !== undefined && !isQueueName(options.queue)) throw new BusMisuse('Not a queue name')
    this.#refuseWhenClosed()
    const queue = handlerQueue<BusMessage>({
      handler,
      onError: err => this.#log.error({ err, subject }, 'a message handler failed'),
      concurrency: options.concurrency ?? 1,
      maxWaiting: options.maxWaiting ?? 10_000,
    })
    const inner = this.#connection.subscribe(subject, {
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      callback: (error, message) => {
        if (error) this.#log.error({ err: error, subject }, 'the subscription was refused by the broker')
        else if (!queue.push(this.#toMessage(message))) this.#log.warn({ subject }, 'too many messages wait: dropped')
      },
    })
    const subscription: Subscription = {
      subject,
      unsubscribe: () => {
        this.#subscriptions.delete(subscription)
        queue.clear()
        inner.unsubscribe()
      },
      drain: async () => {
        this.#subscriptions.delete(subscription)
        // Draining tells the broker; without a connection there is nobody to tell and nothing more can come.
        await inner.drain().catch(() => undefined)
        await queue.idle()
      },
    }
    this.#subscriptions.add(subscription)
    return subscription
  }

  status(): BusStatus {
    return this.#status
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async flush(): Promise<void> {
    this.#refuseWhenClosed()
    if (this.#status !== 'connected') await this.#connectedWithin(flushTimeoutMs)
    if (!(await within(flushTimeoutMs, this.#connection.flush()))) throw new BusTimeout('The broker did not answer')
  }

  close(): Promise<void> {
    this.#closing ??= this.#drainAndClose()
    return this.#closing
  }

  async #drainAndClose(): Promise<void> {
    if (this.#status === 'closed') return
    await within(drainTimeoutMs, Promise.all([...this.#subscriptions].map(each => each.drain())))
    if (this.#status === 'connected') await within(drainTimeoutMs, this.#connection.flush())
    await this.#connection.close()
    this.#setStatus('closed')
  }

  #send(subject: string, data: Uint8Array | string, headers?: BusHeaders): void {
    if (this.#status === 'reconnecting') {
      this.#dropped += 1
      return
    }
    try {
      this.#connection.publish(subject, data, headers ? { headers: toNatsHeaders(headers) } : {})
    } catch (error) {
      throw toBusError(error, subject)
    }
  }

  #toMessage(message: Msg): BusMessage {
    const replyTo = message.reply
    return {
      subject: message.subject,
      data: message.data,
      headers: fromNatsHeaders(message.headers),
      hasReply: Boolean(replyTo),
      reply: (data, headers) => {
        if (replyTo && this.#status !== 'closed') this.#send(replyTo, data, headers)
      },
    }
  }

  #refuseWhenClosed(): void {
    if (this.#status === 'closed' || this.#closing) throw new BusClosed('The bus is closed')
  }

  async #connectedWithin(timeoutMs: number): Promise<void> {
    const change = this.#statusChange()
    const timer = new AbortController()
    try {
      const late = delay(timeoutMs, 'late', { signal: timer.signal }).catch(() => 'late')
      if ((await Promise.race([change.promise, late])) === 'late') {
        throw new BusTimeout(`No connection to the broker within ${timeoutMs} ms`)
      }
    } finally {
      timer.abort()
      change.cancel()
    }
    this.#refuseWhenClosed()
  }

  #statusChange(): { promise: Promise<undefined>; cancel: () => void } {
    let cancel = () => {}
    const promise = new Promise<undefined>(resolve => {
      cancel = this.onStatus(() => resolve(undefined))
    })
    return { promise, cancel }
  }

  async #watch(): Promise<void> {
    for await (const event of this.#connection.status()) this.#heard(event)
    if (!this.#closing) this.#log.error('the connection to the broker closed for good')
    this.#setStatus('closed')
  }

  #heard(event: Status): void {
    if (event.type === Events.Disconnect) {
      this.#setStatus('reconnecting')
      this.#log.warn('lost the broker, reconnecting')
    } else if (event.type === Events.Reconnect) {
      this.#setStatus('connected')
      this.#log.info({ dropped: this.#dropped }, 'reconnected to the broker')
      this.#dropped = 0
    } else if (event.type === Events.Error) {
      this.#log.warn({ code: event.data, permission: event.permissionContext }, 'the broker reported an error')
    }
  }

  #setStatus(status: BusStatus): void {
    if (this.#status === status || this.#status === 'closed') return
    this.#status = status
    for (const listener of [...this.#listeners]) listener(status)
  }
}

/** True when the promise resolved in time; a rejection counts as not. */
async function within(timeoutMs: number, promise: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController()
  const late = delay(timeoutMs, false, { signal: timer.signal }).catch(() => false)
  const done = promise.then(
    () => true,
    () => false,
  )
  try {
    return await Promise.race([done, late])
  } finally {
    timer.abort()
  }
}

function toNatsHeaders(headers: BusHeaders): MsgHdrs {
  const result = natsHeaders()
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[\x21-\x39\x3b-\x7e]+$/.test(name) || /[\r\n]/.test(value)) throw new BusMisuse('Not a header to send')
    result.append(name, value)
  }
  return result
}

function fromNatsHeaders(headers: MsgHdrs | undefined): BusHeaders {
  return headers ? Object.fromEntries(headers.keys().map(name => [name, headers.get(name)])) : {}
}

const closedCodes = new Set(['CONNECTION_CLOSED', 'CONNECTION_DRAINING', 'CANCELLED'])

function toBusError(error: unknown, subject: string): unknown {
  if (error instanceof BusError || !(error instanceof NatsError)) return error
  if (error.code === 'TIMEOUT') return new BusTimeout(`No answer on ${subject} in time`)
  if (error.code === '503') return new BusNoResponders(`Nobody answers on ${subject}`)
  if (error.code === 'PERMISSIONS_VIOLATION') return new BusDenied(`Not allowed to publish to ${subject}`)
  if (error.code === 'MAX_PAYLOAD_EXCEEDED') return new BusMisuse(`The message to ${subject} is too large`)
  if (closedCodes.has(error.code)) return new BusClosed('The bus is closed')
  return new BusError(`${error.code} on ${subject}`)
}
