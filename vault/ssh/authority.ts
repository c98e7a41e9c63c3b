import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { SecretMaterial } from '../../schemas/credential.ts'
import { keyProblem } from '../shapes/pem.ts'
import { mpint, reader, string } from './wire.ts'

export type SshAuthority = Extract<SecretMaterial, { kind: 'ssh-certificate' }>
/** `blob`: its public half as SSH writes it (RFC 4253 section 6.6, RFC 5656, RFC 8709). */
export type AuthorityKey = { blob: Buffer; sign(data: Buffer): Buffer }

const OPENSSH = /^\s*-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]+)-----END OPENSSH PRIVATE KEY-----\s*$/
const MAGIC = Buffer.from('openssh-key-v1\0')
/** DER of a PKCS #8 Ed25519 private key (RFC 8410 section 7), up to its 32 bytes. */
const ED25519_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const CONVERT = 'convert the key first: ssh-keygen -p -m PKCS8 -f key'

/** A new Ed25519 key, PEM. */
export const newAuthorityKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

/** `<type> <base64>`, a line of TrustedUserCAKeys. */
export const publicLine = ({ blob }: AuthorityKey): string =>
  `${reader(blob).string()?.toString() ?? ''} ${blob.toString('base64')}`

export function authorityProblem({ caKey, passphrase }: SshAuthority): string | undefined {
  if (caKey === undefined) return passphrase === undefined ? undefined : 'a passphrase without a key'
  const problem = keyProblem(caKey, passphrase !== undefined)
  if (problem !== undefined) return problem
  return openAuthority(caKey, passphrase) ? undefined : `not a key that certificates can be signed with; ${CONVERT}`
}

/** Undefined for a key that cannot be read or is of another type than Ed25519, ECDSA, RSA. */
export function openAuthority(caKey: string, passphrase?: string | undefined): AuthorityKey | undefined {
  const key = privateKeyOf(caKey, passphrase)
  if (!key) return undefined
  const { kty, crv, x = '', y = '', n = '', e = '' } = createPublicKey(key).export({ format: 'jwk' })
  const bytes = (text: string) => Buffer.from(text, 'base64url')
  if (kty === 'OKP' && crv === 'Ed25519') {
    const type = 'ssh-ed25519'
    const blob = Buffer.concat([string(type), string(bytes(x))])
    return { blob, sign: data => Buffer.concat([string(type), string(sign(null, data, key))]) }
  }
  if (kty === 'RSA') {
    const signature = (data: Buffer) => Buffer.concat([string('rsa-sha2-512'), string(sign('sha512', data, key))])
    return { blob: Buffer.concat([string('ssh-rsa'), mpint(bytes(e)), mpint(bytes(n))]), sign: signature }
  }
  const curve = kty === 'EC' && crv !== undefined ? curves[crv] : undefined
  if (!curve) return undefined
  const type = `ecdsa-sha2-${curve.name}`
  const point = Buffer.concat([Buffer.of(4), bytes(x), bytes(y)])
  return {
    blob: Buffer.concat([string(type), string(curve.name), string(point)]),
    sign: data => {
      const both = sign(curve.hash, data, { key, dsaEncoding: 'ieee-p1363' })
      const [r, s] = [both.subarray(0, both.length / 2), both.subarray(both.length / 2)]
      return Buffer.concat([string(type), string(Buffer.concat([mpint(r), mpint(s)]))])
    },
  }
}

/** Names and hashes of RFC 5656 section 6.2.1. */
const curves: Readonly<Record<string, { name: string; hash: string }>> = {
  'P-256': { name: 'nistp256', hash: 'sha256' },
  'P-384': { name: 'nistp384', hash: 'sha384' },
  'P-521': { name: 'nistp521', hash: 'sha512' },
}

function privateKeyOf(text: string, passphrase: string | undefined): KeyObject | undefined {
  const [, content] = OPENSSH.exec(text) ?? []
  try {
    if (content === undefined) return createPrivateKey({ key: text, ...(passphrase !== undefined && { passphrase }) })
    return ed25519Of(Buffer.from(content.replace(/\s+/g, ''), 'base64'))
  } catch {
    // Its message may tell of the key.
    return undefined
  }
}

/** Reads what ssh-keygen writes by default (OpenSSH PROTOCOL.key): one unencrypted Ed25519 key. */
function ed25519Of(bytes: Buffer): KeyObject | undefined {
  const outer = reader(bytes)
  if (!outer.take(MAGIC.length)?.equals(MAGIC) || outer.string()?.toString() !== 'none') return undefined
  outer.string()
  outer.string()
  if (outer.take(4)?.readUInt32BE() !== 1) return undefined
  outer.string()
  const inner = reader(outer.string() ?? Buffer.alloc(0))
  const [one, two] = [inner.take(4), inner.take(4)]
  if (!one || !two?.equals(one) || inner.string()?.toString() !== 'ssh-ed25519') return undefined
  inner.string()
  const seed = inner.string()?.subarray(0, 32)
  if (seed?.length !== 32) return undefined
  const der = Buffer.concat([ED25519_PREFIX, seed])
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } finally {
    der.fill(0)
    bytes.fill(0)
  }
}
