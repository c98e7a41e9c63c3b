import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'

/** What HPKE gives the other side: the encapsulated key and the ciphertext, both base64url without padding. */
export type HpkeSealed = { enc: string; ciphertext: string }
/** A recipient's key pair; `publicKey` is the raw 32 bytes in base64url. The private half stays in this process. */
export type HpkeKeyPair = { publicKey: string; privateKey: KeyObject }

/** The message was not sealed to this key, or for another purpose, or was changed on the way. Says no more. */
export class HpkeOpenError extends Error {
  override name = 'HpkeOpenError'
}
/** What should be a key of 32 bytes is none, or is one of the points that make every secret the same. */
export class HpkeKeyError extends Error {
  override name = 'HpkeKeyError'
}

const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const CIPHER = 'aes-256-gcm'
const EMPTY = Buffer.alloc(0)
/** DER of a PKCS #8 X25519 private key (RFC 8410 section 7), up to the key itself. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex')

/** A new X25519 key pair (RFC 9180 section 7.1): for one answer, or to be kept by `exportHpkePrivateKey`. */
export const newHpkeKeyPair = (): HpkeKeyPair => keyPairOf(generateKeyPairSync('x25519').privateKey)

/** The 32 private bytes. The caller wipes them. */
export const exportHpkePrivateKey = ({ privateKey }: HpkeKeyPair): Uint8Array =>
  privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8_PREFIX.length)

/** The key pair of 32 private bytes from `exportHpkePrivateKey`. Throws HpkeKeyError. */
export function importHpkeKeyPair(privateBytes: Uint8Array): HpkeKeyPair {
  if (privateBytes.byteLength !== KEY_BYTES) throw new HpkeKeyError('an X25519 private key has 32 bytes')
  const key = Buffer.concat([PKCS8_PREFIX, privateBytes])
  try {
    return keyPairOf(createPrivateKey({ key, format: 'der', type: 'pkcs8' }))
  } finally {
    key.fill(0)
  }
}

/**
 * Seals to a public key in base mode (RFC 9180 section 6.1), DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, no
 * AAD: all context goes into `info`. Throws HpkeKeyError for a public key that cannot be used.
 */
export function hpkeSeal(publicKey: string, info: string, plaintext: Uint8Array): HpkeSealed {
  const recipient = Buffer.from(publicKey, 'base64url')
  const ephemeral = newHpkeKeyPair()
  const enc = Buffer.from(ephemeral.publicKey, 'base64url')
  const dh = agree(ephemeral.privateKey, recipient)
  const { key, nonce } = keySchedule(kemSecret(dh, enc, recipient), info)
  const cipher = createCipheriv(CIPHER, key, nonce)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  return { enc: ephemeral.publicKey, ciphertext: ciphertext.toString('base64url') }
}

/** Opens what `hpkeSeal` made for this key and this `info`. Throws HpkeOpenError, always the same, for all else. */
export function hpkeOpen(pair: HpkeKeyPair, info: string, sealed: HpkeSealed): Uint8Array {
  try {
    const enc = Buffer.from(sealed.enc, 'base64url')
    const recipient = Buffer.from(pair.publicKey, 'base64url')
    const { key, nonce } = keySchedule(kemSecret(agree(pair.privateKey, enc), enc, recipient), info)
    const message = Buffer.from(sealed.ciphertext, 'base64url')
    const end = message.length - TAG_BYTES
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAuthTag(message.subarray(end))
    return Buffer.concat([decipher.update(message.subarray(0, end)), decipher.final()])
  } catch {
    throw new HpkeOpenError('the sealed message cannot be opened')
  }
}

/** `info` of a secret on its way into the vault. */
export const sealInfo = (credentialId: string, version: number): string =>
  `opsconductor seal|${credentialId}|${version}`

/** What a release is for: one credential version, for one claim of one target run, or for one step of it. */
export type ReleaseContext = {
  runId: string
  n: number
  epoch: number
  executorId: string
  credentialId: string
  version: number
  stepId?: string | undefined
}

/** `info` of a secret on its way from the vault to the executor that claimed the target run. */
export function releaseInfo(of: ReleaseContext): string {
  const purpose = of.stepId === undefined ? '' : `|${of.stepId}`
  const claim = `${of.runId}|${of.n}|${of.epoch}|${of.executorId}`
  return `opsconductor release|${claim}|${of.credentialId}|${of.version}${purpose}`
}

function keyPairOf(privateKey: KeyObject): HpkeKeyPair {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' })
  if (x === undefined) throw new HpkeKeyError('the private key has no public half')
  return { privateKey, publicKey: x }
}

/** The shared X25519 point (RFC 7748 section 6.1), never the zero of a low-order key (RFC 9180 section 7.1.4). */
function agree(privateKey: KeyObject, publicBytes: Buffer): Buffer {
  if (publicBytes.byteLength !== KEY_BYTES) throw new HpkeKeyError('an X25519 public key has 32 bytes')
  // As JWK: reading a DER structure costs ten times as much.
  const jwk = { kty: 'OKP', crv: 'X25519', x: publicBytes.toString('base64url') }
  const shared = sharedOf(privateKey, createPublicKey({ key: jwk, format: 'jwk' }))
  if (shared.every(byte => byte === 0)) throw new HpkeKeyError('the public key cannot be used')
  return shared
}

function sharedOf(privateKey: KeyObject, publicKey: KeyObject): Buffer {
  try {
    return diffieHellman({ privateKey, publicKey })
  } catch {
    throw new HpkeKeyError('the public key cannot be used')
  }
}

const uint16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])
const VERSION = Buffer.from('HPKE-v1')
/** DHKEM(X25519, HKDF-SHA256) is 0x0020, HKDF-SHA256 0x0001, AES-256-GCM 0x0002 (RFC 9180 section 7). */
const KEM_SUITE = Buffer.concat([Buffer.from('KEM'), uint16(0x0020)])
const HPKE_SUITE = Buffer.concat([Buffer.from('HPKE'), uint16(0x0020), uint16(0x0001), uint16(0x0002)])

function hmac(key: Buffer, ...parts: Buffer[]): Buffer {
  const mac = createHmac('sha256', key)
  for (const part of parts) mac.update(part)
  return mac.digest()
}

/** LabeledExtract (RFC 9180 section 4): HKDF-Extract is one HMAC (RFC 5869 section 2.2). */
const extract = (suite: Buffer, salt: Buffer, label: string, ikm: Buffer): Buffer =>
  hmac(salt, VERSION, suite, Buffer.from(label), ikm)

/** LabeledExpand for at most 32 bytes, for which HKDF-Expand is one HMAC (RFC 5869 section 2.3). */
const expand = (suite: Buffer, secret: Buffer, label: string, info: Buffer, length: number): Buffer =>
  hmac(secret, uint16(length), VERSION, suite, Buffer.from(label), info, Buffer.from([1])).subarray(0, length)

/** ExtractAndExpand of the KEM (RFC 9180 section 4.1). */
const kemSecret = (dh: Buffer, enc: Buffer, recipient: Buffer): Buffer => {
  const prk = extract(KEM_SUITE, EMPTY, 'eae_prk', dh)
  return expand(KEM_SUITE, prk, 'shared_secret', Buffer.concat([enc, recipient]), KEY_BYTES)
}

const MODE_BASE = Buffer.from([0])
const NO_PSK_ID = extract(HPKE_SUITE, EMPTY, 'psk_id_hash', EMPTY)

/** KeySchedule in base mode (RFC 9180 section 5.1). One message per context, so the base nonce is the nonce. */
function keySchedule(shared: Buffer, info: string): { key: Buffer; nonce: Buffer } {
  const infoHash = extract(HPKE_SUITE, EMPTY, 'info_hash', Buffer.from(info))
  const context = Buffer.concat([MODE_BASE, NO_PSK_ID, infoHash])
  const secret = extract(HPKE_SUITE, shared, 'secret', EMPTY)
  return {
    key: expand(HPKE_SUITE, secret, 'key', context, KEY_BYTES),
    nonce: expand(HPKE_SUITE, secret, 'base_nonce', context, NONCE_BYTES),
  }
}
