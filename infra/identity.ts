import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { writeNewPrivateFile } from './private-file.ts'

/** Who an executor is: an Ed25519 key (RFC 8032) that never leaves its machine. */
export type Identity = {
  /** The raw 32 bytes in base64url, as claims name it. */
  publicKey: string
  /** Signature over the UTF-8 bytes of `text`, base64url. */
  sign(text: string): string
}

/** DER of a SubjectPublicKeyInfo with an Ed25519 key (RFC 8410 section 4), up to the key itself. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const KEY_BYTES = 32

/**
 * The identity in `file` (PKCS#8 PEM, mode 0600), made when there is none.
 * Throws when others may read the file or when it holds no Ed25519 key.
 */
export function loadOrCreateIdentity(file: string): Identity {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ed25519')
    writeNewPrivateFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  }
  if ((statSync(file).mode & 0o077) !== 0) throw new Error(`the identity ${file} can be read by others: chmod 600 it`)
  return identityOf(parse(file))
}

/** An identity that is kept nowhere. */
export const newIdentity = (): Identity => identityOf(generateKeyPairSync('ed25519').privateKey)

/** True when `signature` is that of the holder of `publicKey` (raw, base64url) over `text`. Never throws. */
export function verifySignature(publicKey: string, text: string, signature: string): boolean {
  const raw = Buffer.from(publicKey, 'base64url')
  if (raw.byteLength !== KEY_BYTES) return false
  try {
    return verify(null, Buffer.from(text, 'utf8'), keyOf(raw), Buffer.from(signature, 'base64url'))
  } catch {
    return false
  }
}

/** Executors ask every few seconds, each always with the same key. */
const known = new Map<string, KeyObject>()
const MAX_KNOWN = 1_000

function keyOf(raw: Buffer): KeyObject {
  const x = raw.toString('base64url')
  const made = known.get(x)
  if (made) return made
  // As JWK: reading a DER structure costs ten times as much.
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  // Anybody may come with a key: what is kept is bounded.
  if (known.size >= MAX_KNOWN) known.clear()
  known.set(x, key)
  return key
}

/** What an executor signs when it asks the vault for a secret. */
export function releaseSignedText(of: {
  runId: string
  n: number
  epoch: number
  credentialId: string
  version: number
  stepId?: string | undefined
  ephemeralKey: string
}): string {
  const purpose = of.stepId === undefined ? '' : `|${of.stepId}`
  const asked = `${of.runId}|${of.n}|${of.epoch}|${of.credentialId}|${of.version}|${of.ephemeralKey}`
  return `opsconductor release|${asked}${purpose}`
}

/** What an executor signs when it asks for work. */
export function pullSignedText(of: {
  executorId: string
  instanceId: string
  at: string
  slots: number
  pool: string
}): string {
  return `opsconductor pull|${of.executorId}|${of.instanceId}|${of.at}|${of.slots}|${of.pool}`
}

/** What an executor signs when it comes with its token. */
export function enrolSignedText(of: {
  executorId: string
  publicKey: string
  version: string
  protocol: number
  token: string
}): string {
  return `opsconductor enrol|${of.executorId}|${of.publicKey}|${of.version}|${of.protocol}|${of.token}`
}

function parse(file: string): KeyObject {
  try {
    const key = createPrivateKey(readFileSync(file))
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {
    // The parser's own words could quote the file.
  }
  throw new Error(`the identity ${file} holds no Ed25519 private key`)
}

function identityOf(key: KeyObject): Identity {
  const der = createPublicKey(key).export({ type: 'spki', format: 'der' })
  return {
    publicKey: der.subarray(SPKI_PREFIX.length).toString('base64url'),
    sign: text => sign(null, Buffer.from(text, 'utf8'), key).toString('base64url'),
  }
}
