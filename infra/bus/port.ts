/** Everything a bus can say went wrong extends this. */
export class BusError extends Error {
  override name = 'BusError'
}

/** No answer came in time, or the connection went away while waiting. Whether the request was acted on is unknown. */
export class BusTimeout extends BusError {
  override name = 'BusTimeout'
}

/** Nobody subscribes to the subject of a request: it was not acted on. */
export class BusNoResponders extends BusError {
  override name = 'BusNoResponders'
}

/** The bus was closed, or is closing. */
export class BusClosed extends BusError {
  override name = 'BusClosed'
}

/** The broker does not let this user publish to the subject. */
export class BusDenied extends BusError {
  override name = 'BusDenied'
}

/** The broker could not be reached, or refused the credentials, at start-up. */
export class BusUnavailable extends BusError {
  override name = 'BusUnavailable'
}

/** A subject, queue name or header that would not be carried as meant, or a message larger than the broker allows. */
export class BusMisuse extends BusError {
  override name = 'BusMisuse'
}

/** Header names are kept as sent. Of a repeated header the first value is given. */
export type BusHeaders = Record<string, string>

export type BusMessage = {
  subject: string
  data: Uint8Array
  headers: BusHeaders
  hasReply: boolean
  /** Answers a request; does nothing when no answer was asked for or the bus is closed. */
  reply(data: Uint8Array | string, headers?: BusHeaders): void
  /**
   * Answers a request, and resolves with false when it is certain that nobody is there any more to hear the answer; true
   * is no promise that somebody was.
   */
  deliver(data: Uint8Array | string): Promise<boolean>
}

export type BusReply = { data: Uint8Array; headers: BusHeaders }

export type BusStatus = 'connected' | 'reconnecting' | 'closed'

export type RequestOptions = { timeoutMs: number; headers?: BusHeaders }

export type SubscribeOptions = {
  /** Members of one queue share the messages: each goes to one of them. */
  queue?: string
  /** How many handlers may run at once; 1, the default, keeps the order. */
  concurrency?: number
  /** Messages waiting for a handler; newer ones are dropped with a warning. Default 10,000. */
  maxWaiting?: number
}

export type MessageHandler = (message: BusMessage) => void | Promise<void>

export interface Subscription {
  readonly subject: string
  /** Stops at once: waiting messages are forgotten. */
  unsubscribe(): void
  /** Takes no new messages and resolves when the waiting ones are handled. */
  drain(): Promise<void>
}

/**
 * Messages between roles, at most once: what must not be lost is in the event log, the bus only carries.
 * Payload sizes are limited by the broker (1 MiB unless configured otherwise).
 */
export interface Bus {
  /** Drops the message, and counts it, while reconnecting. Throws BusClosed, BusMisuse. */
  publish(subject: string, data: Uint8Array | string, headers?: BusHeaders): void
  /**
   * Waits for the connection, then for the first answer, in `timeoutMs` milliseconds altogether.
   * Throws BusTimeout, BusNoResponders, BusClosed, BusDenied, BusMisuse.
   */
  request(subject: string, data: Uint8Array | string, options: RequestOptions): Promise<BusReply>
  /** Survives reconnects. Errors of the handler are logged. Throws BusClosed, BusMisuse. */
  subscribe(subject: string, handler: MessageHandler, options?: SubscribeOptions): Subscription
  status(): BusStatus
  /** Calls back on every change of status; returns how to stop. */
  onStatus(listener: (status: BusStatus) => void): () => void
  /** Resolves when the broker has taken in everything sent so far, subscriptions too. Throws BusTimeout, BusClosed. */
  flush(): Promise<void>
  /** Drains: running handlers end and their answers leave, then the connection closes. Never throws. */
  close(): Promise<void>
}
