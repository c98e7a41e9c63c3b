import type { Socket } from 'node:net'
import { authenticate, type ConnectRequest, readConnect } from './credentials.ts'
import { type Operation, ProtocolError, parserError, type Verb } from './operations.ts'
import { type BrokerSettings, needsAuth } from './options.ts'
import { Outbox } from './outbox.ts'
import { Parser } from './parser.ts'
import { mayPublish, maySubscribe, needsFilter, type Permissions } from './permissions.ts'
import type { Message, Peer, Router, Subscriber } from './router.ts'
import { isLiteralSubject, isSubject } from './subject.ts'
import { errorLine, infoLine, messageLine, noRespondersHeader, ok, ping, pong } from './wire.ts'

/** What a connection needs of the broker it belongs to. */
export type Hub = {
  settings: BrokerSettings
  router: Router
  /** The connection has something written but not flushed. */
  wrote(connection: Connection): void
  ended(connection: Connection, why: string): void
}

const maxUnansweredPings = 2
// After a fatal error the client gets this long to read it.
const lingerMs = 1_000
const stallMs = 20

/** One client, from INFO to the end. Its state is: awaiting CONNECT, open, then ending (an error is on its way), over. */
export class Connection implements Peer {
  readonly id: number
  readonly #hub: Hub
  readonly #socket: Socket
  readonly #outbox: Outbox
  readonly #parser: Parser
  readonly #subscriptions = new Map<string, Subscriber>()
  readonly #openedAt = Date.now()
  #request: ConnectRequest | undefined
  #user = ''
  #permissions: Permissions | undefined
  #authorized: boolean
  #endingSince: number | undefined
  #over = false
  #unansweredPings = 0
  #lastPing = Date.now()
  #stalled: NodeJS.Timeout | undefined

  constructor(id: number, socket: Socket, hub: Hub, info: object) {
    this.id = id
    this.#hub = hub
    this.#socket = socket
    this.#outbox = new Outbox(socket)
    this.#authorized = !needsAuth(hub.settings)
    this.#parser = new Parser({
      maxControlLine: hub.settings.maxControlLine,
      maxPayload: hub.settings.maxPayload,
      admit: verb => this.#admit(verb),
      handle: operation => this.#handle(operation),
    })
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#received(chunk))
    socket.on('error', () => undefined) // 'close' follows
    socket.on('close', () => this.destroy('closed by the client'))
    this.#write(infoLine(info))
  }

  get user(): string {
    return this.#user
  }

  get pending(): number {
    return this.#outbox.pending
  }

  get echo(): boolean {
    return this.#request?.echo ?? true
  }

  accepts(subscriber: Subscriber, subject: string): boolean {
    if (this.#over || this.#endingSince !== undefined) return false
    return !subscriber.filtered || maySubscribe(this.#permissions, subject)
  }

  send(subscriber: Subscriber, message: Message): void {
    const { line, payload } = messageLine(subscriber.sid, message, this.#request?.headers ?? false)
    this.#outbox.write(line, payload)
    this.#write('\r\n')
    if (this.#outbox.pending > this.#hub.settings.maxPendingBytes) this.#slow()
  }

  finished(subscriber: Subscriber): void {
    this.#subscriptions.delete(subscriber.sid)
    this.#hub.router.remove(subscriber)
  }

  flush(): void {
    this.#outbox.flush()
  }

  /** Reads nothing from this client for a moment: those it writes to cannot keep up. */
  stall(): void {
    if (this.#stalled || this.#over) return
    this.#socket.pause()
    this.#stalled = setTimeout(() => {
      this.#stalled = undefined
      this.#socket.resume()
    }, stallMs)
  }

  /** Everything that depends on time: called regularly. */
  tick(now: number): void {
    const { authTimeoutMs, pingIntervalMs, writeDeadlineMs } = this.#hub.settings
    if (this.#endingSince !== undefined) {
      if (now - this.#endingSince > lingerMs) this.destroy('did not hang up after an error')
    } else if (!this.#authorized) {
      if (now - this.#openedAt > authTimeoutMs) this.#fail('Authentication Timeout')
    } else if (this.#outbox.stalledFor(now) > writeDeadlineMs) {
      this.#slow()
    } else if (now - this.#lastPing > pingIntervalMs) {
      this.#ping(now)
    }
  }

  destroy(why: string): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#stalled)
    this.#parser.stop()
    this.#dropSubscriptions()
    this.#socket.destroy()
    this.#hub.ended(this, why)
  }

  #received(chunk: Buffer): void {
    if (this.#over || this.#endingSince !== undefined) return
    try {
      this.#parser.feed(chunk)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.#fail(error.message)
    }
  }

  #admit(verb: Verb): void {
    if (!this.#authorized && verb !== 'CONNECT') throw new ProtocolError('Authorization Violation')
  }

  #handle(operation: Operation): void {
    switch (operation.op) {
      case 'ping':
        this.#write(pong)
        return
      case 'pong':
        this.#unansweredPings = 0
        return
      case 'connect':
        this.#connect(readConnect(operation.json))
        break
      case 'publish':
        this.#publish(operation)
        break
      case 'subscribe':
        this.#subscribe(operation.subject, operation.queue, operation.sid)
        break
      case 'unsubscribe':
        this.#unsubscribe(operation.sid, operation.max)
        break
    }
    if (this.#request?.verbose) this.#write(ok)
  }

  #connect(request: ConnectRequest): void {
    // A second CONNECT could change the permissions under subscriptions granted before.
    if (this.#request) throw parserError()
    if (request.no_responders && !request.headers) {
      throw new ProtocolError('No Responders Requires Headers Support')
    }
    const user = authenticate(this.#hub.settings, request)
    if (user === undefined) throw new ProtocolError('Authorization Violation')
    this.#request = request
    this.#authorized = true
    if (user === 'anybody') return
    this.#user = user.user
    this.#permissions = user.permissions
  }

  #publish(message: Message): void {
    const refusal = this.#publishRefusal(message)
    if (refusal) {
      this.#write(errorLine(refusal))
      return
    }
    const reached = this.#hub.router.publish(this, message)
    const limit = this.#hub.settings.maxPendingBytes / 2
    if (reached.some(peer => peer !== this && peer.pending > limit)) this.stall()
    if (reached.length > 0 || message.replyTo === '' || !this.#request?.no_responders) return
    const headerBytes = noRespondersHeader.length
    this.#hub.router.sendTo(this, { subject: message.replyTo, replyTo: '', headerBytes, payload: noRespondersHeader })
  }

  #publishRefusal({ subject, replyTo }: Message): string | undefined {
    const known = isLiteralSubject(subject) && (replyTo === '' || isLiteralSubject(replyTo))
    if (!known) return 'Invalid Publish Subject'
    return mayPublish(this.#permissions, subject) ? undefined : `Permissions Violation for Publish to "${subject}"`
  }

  #subscribe(subject: string, queue: string, sid: string): void {
    if (this.#subscriptions.has(sid)) return
    const refusal = this.#subscribeRefusal(subject, queue)
    if (refusal) {
      this.#write(errorLine(refusal))
      return
    }
    const filtered = needsFilter(this.#permissions, subject)
    const subscriber = { peer: this, subject, queue, sid, delivered: 0, max: 0, filtered }
    this.#subscriptions.set(sid, subscriber)
    this.#hub.router.add(subscriber)
  }

  #subscribeRefusal(subject: string, queue: string): string | undefined {
    if (!isSubject(subject)) return 'Invalid Subject'
    if (!maySubscribe(this.#permissions, subject)) {
      const using = queue === '' ? '' : ` using queue "${queue}"`
      return `Permissions Violation for Subscription to "${subject}"${using}`
    }
    const full = this.#subscriptions.size >= this.#hub.settings.maxSubscriptionsPerConnection
    return full ? 'Maximum Subscriptions Exceeded' : undefined
  }

  #unsubscribe(sid: string, max: number): void {
    const subscriber = this.#subscriptions.get(sid)
    if (!subscriber) return
    subscriber.max = max
    if (subscriber.delivered >= max) this.finished(subscriber)
  }

  #ping(now: number): void {
    this.#lastPing = now
    if (this.#unansweredPings >= maxUnansweredPings) {
      this.#fail('Stale Connection')
      return
    }
    this.#unansweredPings += 1
    this.#write(ping)
  }

  #write(line: string): void {
    if (this.#over) return
    this.#outbox.write(line)
    this.#hub.wrote(this)
  }

  #slow(): void {
    this.#hub.settings.log.warn({ connection: this.id, user: this.#user }, 'slow consumer cut off')
    this.destroy('slow consumer')
  }

  #fail(message: string): void {
    this.#hub.settings.log.warn({ connection: this.id, user: this.#user, error: message }, 'client refused')
    this.#write(errorLine(message))
    this.#outbox.flush()
    this.#endingSince = Date.now()
    this.#parser.stop()
    this.#dropSubscriptions()
    // Ends after what is written; what still comes in is read and thrown away, or the error would be lost to a reset.
    this.#socket.end()
    this.#socket.resume()
  }

  #dropSubscriptions(): void {
    for (const subscriber of this.#subscriptions.values()) this.#hub.router.remove(subscriber)
    this.#subscriptions.clear()
  }
}
