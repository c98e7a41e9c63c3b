import { BlockList, isIP } from 'node:net'

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
const OPEN6 = '2000::/3'

const hostName =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i

/** Whether each is a host name, an address or a CIDR range. */
export function areEgressRules(rules: readonly string[]): boolean {
  return rules.every(rule => parseRange(rule) !== undefined || (!rule.includes('/') && hostName.test(rule)))
}

/**
 * Public addresses are open, all others closed. `allow` opens more: CIDR ranges, addresses, and host names, which then
 * may resolve to anything. Throws RangeError for a rule that is none of these.
 */
export function egressPolicy(allow: readonly string[]): EgressPolicy {
  if (!areEgressRules(allow)) throw new RangeError('an egress rule is a host name, an address or a CIDR range')
  const allowed = blockList(allow.filter(rule => parseRange(rule) !== undefined))
  const hosts = new Set(allow.filter(rule => parseRange(rule) === undefined).map(plainHost))
  const closed = blockList([...closed4, ...closed6])
  const open6 = blockList([OPEN6])
  return {
    permits: (host, address) => {
      if (isIP(address) === 0) return false
      if (hosts.has(plainHost(host))) return true
      const real = embedded4(address) ?? address
      if (holds(allowed, real)) return true
      return !holds(closed, real) && (isIP(real) === 4 || holds(open6, real))
    },
  }
}

/** A name without the dot that may end it, in lower case. */
const plainHost = (host: string): string => host.toLowerCase().replace(/\.$/, '')

function parseRange(rule: string): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', prefix, ...rest] = rule.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0 || address.includes('%')) return undefined
  const most = version === 4 ? 32 : 128
  if (prefix !== undefined && !(/^\d{1,3}$/.test(prefix) && Number(prefix) <= most)) return undefined
  return { address, prefix: prefix === undefined ? most : Number(prefix), family: version === 4 ? 'ipv4' : 'ipv6' }
}

function blockList(rules: readonly string[]): BlockList {
  const list = new BlockList()
  for (const rule of rules) {
    const range = parseRange(rule)
    if (range) list.addSubnet(range.address, range.prefix, range.family)
  }
  return list
}

const holds = (list: BlockList, address: string): boolean => list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')

/** The IPv4 address that an IPv6 one stands for: mapped (::ffff:0:0/96) or by NAT64 (64:ff9b::/96). */
function embedded4(address: string): string | undefined {
  if (isIP(address) !== 6) return undefined
  const groups = groupsOf(address)
  const head = groups.slice(0, 6).join(':')
  if (head !== '0:0:0:0:0:ffff' && head !== '64:ff9b:0:0:0:0') return undefined
  const [high = 0, low = 0] = groups.slice(6).map(group => Number.parseInt(group, 16))
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

/** The eight groups, in hex without leading zeros. */
function groupsOf(address: string): string[] {
  const plain = address.replace(/%.*$/, '').replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    return `${((Number(a) << 8) | Number(b)).toString(16)}:${((Number(c) << 8) | Number(d)).toString(16)}`
  })
  const [before = '', after] = plain.split('::')
  const left = before === '' ? [] : before.split(':')
  const right = after === undefined || after === '' ? [] : after.split(':')
  const zeros = after === undefined ? [] : new Array<string>(8 - left.length - right.length).fill('0')
  return [...left, ...zeros, ...right].map(group => Number.parseInt(group, 16).toString(16))
}
