import type { Permissions } from './permissions.ts'
import { isSubject } from './subject.ts'

export type BrokerUser = { user: string; password: string; permissions?: Permissions }

export type BrokerLog = { info(fields: object, message: string): void; warn(fields: object, message: string): void }

export type BrokerOptions = {
  /** Default 127.0.0.1. Beyond loopback only with users or a token. */
  host?: string
  /** Default 0: any free port. */
  port?: number
  /** Who may connect; without users and token anybody may do anything. */
  users?: readonly BrokerUser[]
  /** One secret for everybody, without permissions. Not together with users. */
  token?: string
  /** Bytes of headers and payload together. Default 1 MiB. */
  maxPayload?: number
  /** Bytes of a control line. Default 4,096. */
  maxControlLine?: number
  maxConnections?: number
  maxSubscriptionsPerConnection?: number
  /** Bytes waiting for a client that reads too slowly, at which it is cut off. Default 16 MiB. */
  maxPendingBytes?: number
  /** Milliseconds in which a client must take what was written to it. Default 10,000. */
  writeDeadlineMs?: number
  /** Milliseconds in which a client must have sent good credentials. Default 2,000. */
  authTimeoutMs?: number
  /** Default 30,000; a client that leaves two pings unanswered is cut off. */
  pingIntervalMs?: number
  log?: BrokerLog
}

export type BrokerSettings = Required<Omit<BrokerOptions, 'token'>> & { token: string | undefined }

/** A start-up option that makes no sense or would be unsafe. */
export class BrokerOptionsError extends Error {
  override name = 'BrokerOptionsError'
}

const silent: BrokerLog = { info: () => undefined, warn: () => undefined }

/** Fills in the defaults. Throws BrokerOptionsError. */
export function brokerSettings(options: BrokerOptions): BrokerSettings {
  const settings: BrokerSettings = {
    host: '127.0.0.1',
    port: 0,
    users: [],
    maxPayload: 1024 * 1024,
    maxControlLine: 4096,
    maxConnections: 1024,
    maxSubscriptionsPerConnection: 10_000,
    maxPendingBytes: 16 * 1024 * 1024,
    writeDeadlineMs: 10_000,
    authTimeoutMs: 2_000,
    pingIntervalMs: 30_000,
    log: silent,
    ...options,
    token: options.token,
  }
  check(settings)
  return settings
}

export function needsAuth(settings: BrokerSettings): boolean {
  return settings.token !== undefined || settings.users.length > 0
}

function check(settings: BrokerSettings): void {
  if (settings.token !== undefined && settings.users.length > 0) {
    throw new BrokerOptionsError('Give the broker users or a token, not both')
  }
  if (!needsAuth(settings) && !isLoopback(settings.host)) {
    throw new BrokerOptionsError(`Without users or a token the broker does not listen on ${settings.host}`)
  }
  if (settings.token === '' || settings.users.some(user => user.user === '' || user.password === '')) {
    throw new BrokerOptionsError('A broker user, password or token is empty')
  }
  if (new Set(settings.users.map(user => user.user)).size !== settings.users.length) {
    throw new BrokerOptionsError('A broker user is given twice')
  }
  if (settings.maxPayload > settings.maxPendingBytes) {
    throw new BrokerOptionsError('The largest message must fit into what may wait for a client')
  }
  for (const user of settings.users) for (const pattern of patternsOf(user.permissions)) checkPattern(pattern)
}

function checkPattern(pattern: string): void {
  if (!isSubject(pattern) || /[^\x21-\x7e]/.test(pattern)) {
    throw new BrokerOptionsError(`Not a subject for a permission: ${JSON.stringify(pattern)}`)
  }
}

function patternsOf(permissions: Permissions | undefined): string[] {
  const rules = [permissions?.publish, permissions?.subscribe]
  return rules.flatMap(rule => [...(rule?.allow ?? []), ...(rule?.deny ?? [])])
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}
