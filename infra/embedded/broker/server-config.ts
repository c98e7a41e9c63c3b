import {
  type BrokerOptions,
  BrokerOptionsError,
  type BrokerSettings,
  type BrokerUser,
  brokerSettings,
  needsAuth,
} from './options.ts'
import type { SubjectRule } from './permissions.ts'

/** A password given in the text, or the name of a variable that an included file sets. */
export type ServerConfigUser = Omit<BrokerUser, 'password'> & { password: string | { variable: string } }

export type ServerConfigOptions = Omit<BrokerOptions, 'users' | 'host' | 'port' | 'log'> & {
  users?: readonly ServerConfigUser[]
  /** A file with the variables, its path relative to that of the configuration. */
  include?: string
  /** `host:port`. Default `127.0.0.1:4222`. */
  listen?: string
  /** Paths of the server's certificate and key; without it connections are not encrypted. */
  tls?: { certificate: string; key: string }
  /** `host:port` of the monitoring endpoint for health checks. Default none. */
  monitor?: string
}

/**
 * The text of a nats-server configuration with the same users, permissions and limits as the embedded broker's.
 * Format: https://docs.nats.io/running-a-nats-service/configuration. Throws BrokerOptionsError.
 */
export function natsServerConfig(options: ServerConfigOptions): string {
  const { users = [], include, listen = '127.0.0.1:4222', tls, monitor, ...limits } = options
  const settings = brokerSettings({ ...limits, users: users.map(user => ({ ...user, password: 'checked below' })) })
  const lines = [
    ...(include === undefined ? [] : [`include ${quoted(include)}`, '']),
    `listen: ${quoted(listen)}`,
    ...(monitor === undefined ? [] : [`http: ${quoted(monitor)}`]),
    `max_payload: ${settings.maxPayload}`,
    `max_control_line: ${settings.maxControlLine}`,
    `max_pending: ${settings.maxPendingBytes}`,
    `max_connections: ${settings.maxConnections}`,
    `max_subscriptions: ${settings.maxSubscriptionsPerConnection}`,
    `write_deadline: ${quoted(`${settings.writeDeadlineMs}ms`)}`,
    `ping_interval: ${quoted(`${settings.pingIntervalMs}ms`)}`,
    ...(tls === undefined ? [] : tlsLines(tls)),
    ...authorizationLines(users, settings),
  ]
  return `${lines.join('\n')}\n`
}

function tlsLines({ certificate, key }: { certificate: string; key: string }): string[] {
  return ['', 'tls {', `  cert_file: ${quoted(certificate)}`, `  key_file: ${quoted(key)}`, '  timeout: 5', '}']
}

function authorizationLines(users: readonly ServerConfigUser[], settings: BrokerSettings): string[] {
  if (!needsAuth(settings)) return []
  const timeout = `  timeout: ${settings.authTimeoutMs / 1000}`
  const who =
    settings.token === undefined
      ? ['  users: [', ...users.flatMap(userLines), '  ]']
      : [`  token: ${quoted(settings.token)}`]
  return ['', 'authorization {', timeout, ...who, '}']
}

function userLines(user: ServerConfigUser): string[] {
  return [
    '    {',
    `      user: ${quoted(user.user)}`,
    `      password: ${passwordText(user.password)}`,
    ...(user.permissions
      ? [
          '      permissions: {',
          ...ruleLines('publish', user.permissions.publish),
          ...ruleLines('subscribe', user.permissions.subscribe),
          '      }',
        ]
      : []),
    '    }',
  ]
}

function ruleLines(kind: string, rule: SubjectRule | undefined): string[] {
  // nats-server takes an empty allow list for none at all, which would allow everything.
  const closed = rule?.allow?.length === 0
  const allow = closed ? [] : (rule?.allow ?? [])
  const deny = closed ? ['>'] : (rule?.deny ?? [])
  if (allow.length === 0 && deny.length === 0) return []
  return [
    `        ${kind}: {`,
    ...(allow.length > 0 ? [`          allow: [${allow.map(quoted).join(', ')}]`] : []),
    ...(deny.length > 0 ? [`          deny: [${deny.map(quoted).join(', ')}]`] : []),
    '        }',
  ]
}

function passwordText(password: ServerConfigUser['password']): string {
  if (typeof password !== 'string') {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(password.variable)) throw new BrokerOptionsError('Not a variable name')
    return `$${password.variable}`
  }
  if (password === '') throw new BrokerOptionsError('A broker user, password or token is empty')
  if (/^\$2[aby]\$/.test(password)) {
    throw new BrokerOptionsError('nats-server would take this password for a bcrypt hash')
  }
  return quoted(password)
}

function quoted(text: string): string {
  if (/[^\x20-\x7e]/.test(text)) throw new BrokerOptionsError('Only printable ASCII goes into a nats-server file')
  return `"${text.replaceAll(/["\\]/g, match => `\\${match}`)}"`
}
