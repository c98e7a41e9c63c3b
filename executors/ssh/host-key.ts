import type { ServerHostKeyAlgorithm } from 'ssh2'

const algorithms: Array<{ type: string; offers: ServerHostKeyAlgorithm[] }> = [
  { type: 'ssh-ed25519', offers: ['ssh-ed25519'] },
  { type: 'ecdsa-sha2-nistp256', offers: ['ecdsa-sha2-nistp256'] },
  { type: 'ecdsa-sha2-nistp384', offers: ['ecdsa-sha2-nistp384'] },
  { type: 'ecdsa-sha2-nistp521', offers: ['ecdsa-sha2-nistp521'] },
  { type: 'ssh-rsa', offers: ['rsa-sha2-512', 'rsa-sha2-256'] },
]

/** A key as the server presents it (RFC 4253 section 6.6: its type comes first) → `<type> <base64>`. */
export function describeHostKey(blob: Buffer): string {
  const length = blob.readUInt32BE(0)
  return `${blob.toString('latin1', 4, 4 + length)} ${blob.toString('base64')}`
}

/** The known key's type first: a server with several keys would otherwise show another one, which is no change. */
export function hostKeyAlgorithms(known: string | undefined): ServerHostKeyAlgorithm[] {
  const type = known?.split(' ')[0]
  const first = algorithms.filter(each => each.type === type)
  const others = algorithms.filter(each => each.type !== type)
  return [...first, ...others].flatMap(each => each.offers)
}
