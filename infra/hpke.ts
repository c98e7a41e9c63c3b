import type { webcrypto } from 'node:crypto'
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core'

/** What HPKE gives the other side: the encapsulated key and the ciphertext, both base64url without padding. */
export type HpkeSealed = { enc: string; ciphertext: string }
/** A recipient's key pair; `publicKey` is the raw 32 bytes in base64url. The private half stays in this process. */
export type HpkeKeyPair = { publicKey: string; privateKey: webcrypto.CryptoKey }

/** The message was not sealed to this key, or for another purpose, or was changed on the way. Says no more. */
export class HpkeOpenError extends Error {
  override name = 'HpkeOpenError'
}
/** What should be a key of 32 bytes is none, or is one of the points that make every secret the same. */
export class HpkeKeyError extends Error {
  override name = 'HpkeKeyError'
}

const KEY_BYTES = 32
const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
})
const utf8 = new TextEncoder()

/** A new X25519 key pair (RFC 9180 section 7.1): for one answer, or to be kept by `exportHpkePrivateKey`. */
export const newHpkeKeyPair = async (): Promise<HpkeKeyPair> => keyPairOf(await suite.kem.generateKeyPair())

/** The 32 private bytes. The caller wipes them. */
export async function exportHpkePrivateKey(pair: HpkeKeyPair): Promise<Uint8Array> {
  return new Uint8Array(await suite.kem.serializePrivateKey(pair.privateKey))
}

/** The key pair of 32 private bytes from `exportHpkePrivateKey`. Throws HpkeKeyError. */
export async function importHpkeKeyPair(privateBytes: Uint8Array): Promise<HpkeKeyPair> {
  if (privateBytes.byteLength !== KEY_BYTES) throw new HpkeKeyError('an X25519 private key has 32 bytes')
  const privateKey = await suite.kem.deserializePrivateKey(privateBytes)
  const { x } = await crypto.subtle.exportKey('jwk', privateKey)
  if (x === undefined) throw new HpkeKeyError('the private key has no public half')
  return { privateKey, publicKey: x }
}

/**
 * Seals to a public key in base mode (RFC 9180 section 6.1), DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, no
 * AAD: all context goes into `info`. Throws HpkeKeyError for a public key that cannot be used.
 */
export async function hpkeSeal(publicKey: string, info: string, plaintext: Uint8Array): Promise<HpkeSealed> {
  const recipientPublicKey = await publicKeyOf(publicKey)
  try {
    const { enc, ct } = await suite.seal({ recipientPublicKey, info: utf8.encode(info) }, plaintext)
    return { enc: base64url(enc), ciphertext: base64url(ct) }
  } catch {
    throw new HpkeKeyError('the public key cannot be used')
  }
}

/** Opens what `hpkeSeal` made for this key and this `info`. Throws HpkeOpenError, always the same, for all else. */
export async function hpkeOpen(pair: HpkeKeyPair, info: string, sealed: HpkeSealed): Promise<Uint8Array> {
  try {
    const enc = Buffer.from(sealed.enc, 'base64url')
    const ciphertext = Buffer.from(sealed.ciphertext, 'base64url')
    return new Uint8Array(await suite.open({ recipientKey: pair.privateKey, enc, info: utf8.encode(info) }, ciphertext))
  } catch {
    throw new HpkeOpenError('the sealed message cannot be opened')
  }
}

/** `info` of a secret on its way into the vault. */
export const sealInfo = (credentialId: string, version: number): string =>
  `opsconductor seal|${credentialId}|${version}`

/** What a release is for: one credential version, for one claim of one target run. */
export type ReleaseContext = {
  runId: string
  n: number
  epoch: number
  executorId: string
  credentialId: string
  version: number
}

/** `info` of a secret on its way from the vault to the executor that claimed the target run. */
export const releaseInfo = (of: ReleaseContext): string =>
  `opsconductor release|${of.runId}|${of.n}|${of.epoch}|${of.executorId}|${of.credentialId}|${of.version}`

async function publicKeyOf(publicKey: string): Promise<webcrypto.CryptoKey> {
  const raw = Buffer.from(publicKey, 'base64url')
  if (raw.byteLength !== KEY_BYTES) throw new HpkeKeyError('an X25519 public key has 32 bytes')
  return await suite.kem.deserializePublicKey(raw)
}

async function keyPairOf(pair: webcrypto.CryptoKeyPair): Promise<HpkeKeyPair> {
  return { privateKey: pair.privateKey, publicKey: base64url(await suite.kem.serializePublicKey(pair.publicKey)) }
}

const base64url = (bytes: ArrayBuffer): string => Buffer.from(bytes).toString('base64url')
