import { isIP } from 'node:net'
import { addressRanges, isAddressRange, plainAddress } from '../address-ranges.ts'

/** Whether a request may go to an address. `host` is the name it was found under, or the address itself. */
export type EgressPolicy = { permits(host: string, address: string): boolean }

/**
 * What is not the public internet (IANA special-purpose registries, RFC 6890 and its updates): this host, private
 * networks, carrier-grade NAT, link-local with the clouds' metadata service, documentation, benchmarks, multicast,
 * reserved.
 */
const closed4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
]
/** The same of IPv6, where everything outside 2000::/3 is closed anyway; those inside it that lead elsewhere. */
const closed6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']
const closed = addressRanges([...closed4, ...closed6])
const open6 = addressRanges(['2000::/3'])

const hostName =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i

/** Whether each is a host name, an address or a CIDR range. */
export function areEgressRules(rules: readonly string[]): boolean {
  return rules.every(rule => isAddressRange(rule) || (!rule.includes('/') && hostName.test(rule)))
}

/**
 * Public addresses are open, all others closed. `allow` opens more: CIDR ranges, addresses, and host names, which then
 * may resolve to anything. Throws RangeError for a rule that is none of these.
 */
export function egressPolicy(allow: readonly string[]): EgressPolicy {
  if (!areEgressRules(allow)) throw new RangeError('an egress rule is a host name, an address or a CIDR range')
  const allowed = addressRanges(allow.filter(isAddressRange))
  const hosts = new Set(allow.filter(rule => !isAddressRange(rule)).map(plainHost))
  return {
    permits: (host, address) => {
      if (isIP(address) === 0) return false
      if (hosts.has(plainHost(host)) || allowed.holds(address)) return true
      const real = plainAddress(address)
      return !closed.holds(real) && (isIP(real) === 4 || open6.holds(real))
    },
  }
}

/** A name without the dot that may end it, in lower case. */
const plainHost = (host: string): string => host.toLowerCase().replace(/\.$/, '')
