import { setTimeout as delay } from 'node:timers/promises'
import { type ConnectionOptions, connect, type NatsConnection, NatsError } from 'nats'
import type { Logger } from 'pino'
import { BusUnavailable } from './port.ts'
import { isSubjectToken } from './subject.ts'
import type { BrokerAddress } from './url.ts'

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

/** Tries until the broker answers, refuses the credentials, or the time is up; the last two throw BusUnavailable. */
export async function firstConnection(address: BrokerAddress, options: ConnectBusOptions): Promise<NatsConnection> {
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
  return user !== undefined && isSubjectToken(user) ? `_INBOX.${user}` : '_INBOX'
}
