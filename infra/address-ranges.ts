import { BlockList, isIP } from 'node:net'

/** IP addresses, by CIDR ranges and single addresses. An IPv6 address that stands for an IPv4 one counts as that one. */
export type AddressRanges = { holds(address: string): boolean }

/** Whether the text is an address or a CIDR range, without a zone. */
export const isAddressRange = (text: string): boolean => parseRange(text) !== undefined

/** @throws RangeError for a text that is no range. */
export function addressRanges(texts: readonly string[]): AddressRanges {
  const list = new BlockList()
  for (const text of texts) {
    const range = parseRange(text)
    if (!range) throw new RangeError(`${text} is neither an address nor a CIDR range`)
    list.addSubnet(range.address, range.prefix, range.family)
  }
  return {
    holds: address => {
      const real = plainAddress(address)
      return isIP(real) !== 0 && list.check(real, isIP(real) === 4 ? 'ipv4' : 'ipv6')
    },
  }
}

/** How many bits of an address the range leaves open: 0 for one address, 32 or 128 for all of them. */
export function openBits(text: string): number {
  const range = parseRange(text)
  return range ? (range.family === 'ipv4' ? 32 : 128) - range.prefix : 0
}

/** The IPv4 address that an IPv6 one stands for, mapped (::ffff:0:0/96) or by NAT64 (64:ff9b::/96); else the address. */
export function plainAddress(address: string): string {
  return embedded4(address) ?? address
}

/**
 * Whom to count an address for: an IPv4 address by itself, an IPv6 one by its /64, which is what one customer is given
 * at least and may change within at will.
 */
export function addressKey(address: string): string {
  const plain = plainAddress(address)
  return isIP(plain) === 6 ? `${groupsOf(plain).slice(0, 4).join(':')}::/64` : plain
}

function parseRange(text: string): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', prefix, ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0 || address.includes('%')) return undefined
  const most = version === 4 ? 32 : 128
  if (prefix !== undefined && !(/^\d{1,3}$/.test(prefix) && Number(prefix) <= most)) return undefined
  return { address, prefix: prefix === undefined ? most : Number(prefix), family: version === 4 ? 'ipv4' : 'ipv6' }
}

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
