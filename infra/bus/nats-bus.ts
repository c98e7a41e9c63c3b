import { Events, type Msg, type NatsConnection, type Status } from 'nats'
import type { BusLog } from './first-connection.ts'
import { handlerQueue } from './handler-queue.ts'
import { fromNatsHeaders, toBusError, toNatsHeaders } from './nats-mapping.ts'
import {
  type Bus,
  BusClosed,
  type BusHeaders,
  type BusMessage,
  BusMisuse,
  BusNoResponders,
  type BusReply,
  type BusStatus,
  BusTimeout,
  type MessageHandler,
  type RequestOptions,
  type SubscribeOptions,
  type Subscription,
} from './port.ts'
import { isPublishSubject, isQueueName, isSubscribeSubject } from './subject.ts'
import { within } from './within.ts'

const flushTimeoutMs = 5_000
const drainTimeoutMs = 5_000
const INBOX = '_INBOX.'
/** The broker tells at once that nobody listens; whoever does stays silent. */
const UNHEARD_MS = 1_000

/** The port over one connection of the `nats` client. */
export class NatsBus implements Bus {
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
        // Answers go to inboxes only: whoever asks must not make us speak on a subject it may not use itself.
        if (replyTo?.startsWith(INBOX) && this.#status !== 'closed') this.#send(replyTo, data, headers)
      },
      deliver: data => this.#deliver(replyTo, data),
    }
  }

  async #deliver(inbox: string | undefined, data: Uint8Array | string): Promise<boolean> {
    if (!inbox?.startsWith(INBOX) || this.#status !== 'connected') return false
    try {
      await this.#connection.request(inbox, data, { timeout: UNHEARD_MS })
      return true
    } catch (error) {
      return !(toBusError(error, inbox) instanceof BusNoResponders)
    }
  }

  #refuseWhenClosed(): void {
    if (this.#status === 'closed' || this.#closing) throw new BusClosed('The bus is closed')
  }

  async #connectedWithin(timeoutMs: number): Promise<void> {
    const change = this.#statusChange()
    const changed = await within(timeoutMs, change.promise)
    change.cancel()
    if (!changed) throw new BusTimeout(`No connection to the broker within ${timeoutMs} ms`)
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
