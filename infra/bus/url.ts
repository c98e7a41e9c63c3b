import { BusMisuse } from './port.ts'

export type BrokerAddress = {
  /** `host:port` of each server, without credentials: fit for logs. */
  servers: string[]
  tls: boolean
  user?: string
  password?: string
  token?: string
}

const defaultPort = '4222'

/**
 * Reads `nats://host:port`, `nats://user:pass@host:port`, `nats://token@host:port` or the same with `tls://`; several
 * servers of one cluster are parted by commas, the credentials of the first one count. User, password and token are
 * percent-decoded. Throws BusMisuse without ever repeating the text, which may hold a password.
 */
export function parseBrokerUrl(text: string): BrokerAddress {
  const urls = text.split(',').map(part => parseOne(part.trim()))
  const [first] = urls
  if (!first) throw new BusMisuse('The broker URL is empty')
  if (urls.some(url => url.protocol !== first.protocol)) {
    throw new BusMisuse('The broker URL mixes nats:// and tls://')
  }
  const servers = urls.map(url => `${url.hostname}:${url.port || defaultPort}`)
  return { servers, tls: first.protocol === 'tls:', ...credentialsOf(first) }
}

function parseOne(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url?.hostname || (url.protocol !== 'nats:' && url.protocol !== 'tls:')) {
    throw new BusMisuse('The broker URL must look like nats://host:port or tls://host:port')
  }
  return url
}

function credentialsOf(url: URL): Pick<BrokerAddress, 'user' | 'password' | 'token'> {
  const user = decode(url.username)
  const password = decode(url.password)
  if (!user && !password) return {}
  return password ? { user, password } : { token: user }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new BusMisuse('The credentials in the broker URL are not percent-encoded')
  }
}
