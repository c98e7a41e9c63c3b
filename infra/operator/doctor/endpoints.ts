import type { Config } from '../../config.ts'
import type { Endpoint } from './facts.ts'

type Given = Pick<Config, 'eventStoreUrl' | 'postgresUrl' | 'natsUrl' | 'kek' | 'hashicorpVault'>

/** What the settings say is somewhere else; embedded parts speak on loopback and sockets only. */
export function endpointsOf({ eventStoreUrl, postgresUrl, natsUrl, kek, hashicorpVault }: Given): Endpoint[] {
  const found: Endpoint[] = []
  const add = (name: string, url: string | undefined, encrypted: (url: string) => Endpoint['encrypted']) => {
    if (url !== undefined) found.push({ name, hosts: hostsOf(url), encrypted: encrypted(url) })
  }
  add('The event store', eventStoreUrl?.reveal(), eventStoreTls)
  add('Postgres', postgresUrl?.reveal(), postgresTls)
  add('NATS', natsUrl?.reveal(), url => (url.split(',').every(one => /^\s*(tls|wss):/.test(one)) ? 'verified' : 'no'))
  add('HashiCorp Vault', hashicorpVault.url, httpTls)
  add('AWS KMS', kek.kmsEndpoint, httpTls)
  return found
}

const httpTls = (url: string) => (url.startsWith('https:') ? 'verified' : 'no')

function parameter(url: string, name: string): string | undefined {
  return new URLSearchParams(url.split('?')[1] ?? '').get(name)?.toLowerCase() ?? undefined
}

/** TLS is the client's default; `tlsVerifyCert=false` takes any certificate. */
function eventStoreTls(url: string): Endpoint['encrypted'] {
  if (parameter(url, 'tls') === 'false') return 'no'
  return parameter(url, 'tlsverifycert') === 'false' || parameter(url, 'tlsVerifyCert') === 'false'
    ? 'unverified'
    : 'verified'
}

/** https://www.postgresql.org/docs/current/libpq-ssl.html: only the last two modes ask who answers. */
function postgresTls(url: string): Endpoint['encrypted'] {
  const mode = parameter(url, 'sslmode')
  if (mode === 'verify-full' || mode === 'verify-ca') return 'verified'
  return mode === 'require' || mode === 'no-verify' ? 'unverified' : 'no'
}

/** Of one URL with several hosts, or of several URLs. A socket is a path, or a query parameter of Postgres's. */
function hostsOf(urls: string): string[] {
  const [, rest = urls] = /^[a-z+]+:\/\/(.*)$/s.exec(urls) ?? []
  const authority = rest.split(/[/?#]/)[0] ?? ''
  const socket = parameter(urls, 'host')
  if (socket !== undefined) return [socket]
  const one = (text: string) =>
    decodeURIComponent(
      text
        .replace(/^.*:\/\//, '')
        .replace(/^.*@/, '')
        .replace(/:\d+$/, ''),
    )
  return authority
    .slice(authority.lastIndexOf('@') + 1)
    .split(',')
    .map(one)
}
