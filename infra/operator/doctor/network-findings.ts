import { isIP } from 'node:net'
import { addressRanges, isAddressRange, openBits } from '../../address-ranges.ts'
import type { Facts, Finding } from './facts.ts'

const MANY_ORIGINS = 10
/** More addresses than one network has: 65,536 of IPv4, a site's worth of IPv6. */
const WIDE = { v4: 16, v6: 80 }

/** What others can reach, read or be believed in. */
export function networkFindings(facts: Facts): Finding[] {
  return [
    ...listening(facts),
    ...endpoints(facts),
    ...limits(facts),
    ...origins(facts),
    ...proxies(facts),
    ...egress(facts),
    ...redirect(facts),
  ]
}

/** Whether only this machine is meant: loopback, or a socket in the file system. */
export function isLocal(host: string): boolean {
  const plain = host.replace(/^\[|\]$/g, '')
  if (plain === '' || plain.startsWith('/') || plain === 'localhost') return true
  return isIP(plain) !== 0 && addressRanges(['127.0.0.0/8', '::1']).holds(plain)
}

function listening({ host, edge }: Facts): Finding[] {
  if (isLocal(host) || edge.trustedProxies.length > 0) return []
  return [
    {
      ...{ id: 'api-without-tls', severity: 'danger' },
      what: `The API listens on ${host} and speaks plain HTTP: keys and answers can be read on the way.`,
      todo: 'Put a proxy with TLS in front, name it in OPSCONDUCTOR_TRUSTED_PROXIES, and let nobody else reach the port.',
    },
  ]
}

function endpoints({ endpoints }: Facts): Finding[] {
  return endpoints.flatMap(({ name, hosts, encrypted }): Finding[] => {
    const far = hosts.filter(host => !isLocal(host)).join(', ')
    if (far === '' || encrypted === 'verified') return []
    if (encrypted === 'unverified') {
      return [
        {
          ...{ id: 'tls-not-verified', severity: 'warning' },
          what: `${name} at ${far} is asked for over TLS without a proof of who answers.`,
          todo: `Ask for it: ${hints[name] ?? 'https://'}.`,
        },
      ]
    }
    return [
      {
        ...{ id: 'plain-text', severity: 'danger' },
        what: `${name} at ${far} is spoken to in plain text, passwords included.`,
        todo: `Use TLS: ${hints[name] ?? 'https://'}.`,
      },
    ]
  })
}
const hints: Readonly<Record<string, string>> = {
  'The event store': 'esdb://…?tls=true',
  Postgres: 'sslmode=verify-full',
  NATS: 'tls://…',
}

function limits({ edge }: Facts): Finding[] {
  const off = (id: string, setting: string, whose: string): Finding => ({
    ...{ id, severity: 'warning' },
    what: `There is no limit on requests ${whose}.`,
    todo: `Set ${setting}, or leave it out for the default.`,
  })
  return [
    ...(edge.rateLimit === 0 ? [off('rate-limit-off', 'OPSCONDUCTOR_RATE_LIMIT', 'of a principal')] : []),
    ...(edge.addressRateLimit === 0
      ? [off('address-rate-limit-off', 'OPSCONDUCTOR_RATE_LIMIT_ADDRESS', 'without a valid key')]
      : []),
  ]
}

function origins({ edge: { corsOrigins } }: Facts): Finding[] {
  const plain = corsOrigins.filter(origin => origin.startsWith('http://') && !isLocal(new URL(origin).hostname))
  const found: Finding[] = []
  if (plain.length > 0) {
    found.push({
      ...{ id: 'cors-plain-http', severity: 'danger' },
      what: `Pages from ${plain.join(', ')} may read answers, and whoever is on the way can change those pages.`,
      todo: 'Name origins with https:// only in OPSCONDUCTOR_CORS_ORIGINS.',
    })
  }
  if (corsOrigins.length > MANY_ORIGINS) {
    found.push({
      ...{ id: 'cors-wide', severity: 'warning' },
      what: `Pages of ${corsOrigins.length} origins may read answers.`,
      todo: 'Keep OPSCONDUCTOR_CORS_ORIGINS to those that are in use.',
    })
  }
  return found
}

const isWide = (range: string) => openBits(range) > (range.includes(':') ? WIDE.v6 : WIDE.v4)
const isAll = (range: string) => isAddressRange(range) && /\/0$/.test(range)

function proxies({ edge: { trustedProxies } }: Facts): Finding[] {
  return trustedProxies.filter(isWide).map(range => ({
    ...{ id: 'trusted-proxies-wide', severity: isAll(range) ? 'danger' : 'warning' },
    what: `Every address in ${range} may say where a request comes from: what events and limits go by.`,
    todo: 'Name the addresses of the proxies in OPSCONDUCTOR_TRUSTED_PROXIES.',
  }))
}

function redirect({ oidcRedirectUrl }: Facts): Finding[] {
  if (oidcRedirectUrl === undefined || oidcRedirectUrl.startsWith('https:')) return []
  if (isLocal(new URL(oidcRedirectUrl).hostname)) return []
  return [
    {
      ...{ id: 'oidc-redirect-plain-http', severity: 'danger' },
      what: `Whoever signs in by the OpenID provider comes back to ${oidcRedirectUrl} in plain text.`,
      todo: 'Use https:// in OPSCONDUCTOR_OIDC_REDIRECT_URL, and register it so.',
    },
  ]
}

const METADATA = ['169.254.169.254', 'fd00:ec2::254']

function egress({ egressAllow, vaultEgressAllow, oidcEgressAllow }: Facts): Finding[] {
  const judge =
    (setting: string, who: string) =>
    (rule: string): Finding[] => {
      if (!isAddressRange(rule)) return []
      const ranges = addressRanges([rule])
      const finding = (severity: 'danger' | 'warning', where: string): Finding => ({
        ...{ id: 'egress-wide', severity },
        what: `${who} may send requests to ${where} (${rule}).`,
        todo: `Name single hosts in ${setting}.`,
      })
      if (isAll(rule)) return [finding('danger', 'every address there is')]
      if (METADATA.some(address => ranges.holds(address))) return [finding('danger', "the cloud's metadata service")]
      return isWide(rule) ? [finding('warning', 'a whole network')] : []
    }
  return [
    ...egressAllow.flatMap(judge('OPSCONDUCTOR_EGRESS_ALLOW', 'Steps')),
    ...vaultEgressAllow.flatMap(judge('OPSCONDUCTOR_VAULT_EGRESS_ALLOW', 'The vault')),
    ...oidcEgressAllow.flatMap(judge('OPSCONDUCTOR_OIDC_EGRESS_ALLOW', 'Signing in by the OpenID provider')),
  ]
}
