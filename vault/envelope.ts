import { randomBytes } from 'node:crypto'
import { aad } from './aad.ts'
import { decrypt, encrypt } from './aes-gcm.ts'
import type { KekProvider } from './kek.ts'

/** Which secret an envelope holds. `sealId` tells apart two sealings for one version, of which one became history. */
export type SecretName = { credentialId: string; version: number; sealId: string }

/** One stored secret. Everything but the ciphertext and the wrapped key is bound into both by their AAD. */
export type Envelope = SecretName & {
  format: number
  /** The key the secret was first sealed under; stays, so that wrapping anew leaves the ciphertext alone. */
  sealedKekId: string
  /** The key that wraps the data key now. */
  kekId: string
  wrappedDek: Buffer
  iv: Buffer
  ciphertext: Buffer
  tag: Buffer
}

const FORMAT = 1
/** One installation is one tenant so far; named in every AAD so that a second one needs no new format. */
const TENANT = 'default'
const DEK_BYTES = 32

/** Seals under a fresh data key, wrapped by the active key-encryption key. */
export async function sealEnvelope(keks: KekProvider, name: SecretName, plaintext: Uint8Array): Promise<Envelope> {
  const kekId = keks.active
  const head = { ...name, format: FORMAT, sealedKekId: kekId, kekId }
  const dek = randomBytes(DEK_BYTES)
  try {
    const wrappedDek = await keks.wrap(kekId, dek, dekAad(head))
    return { ...head, wrappedDek, ...encrypt(dek, plaintext, secretAad(head)) }
  } finally {
    dek.fill(0)
  }
}

/** The caller wipes what it gets. Throws NotAuthentic, UnknownKek. */
export async function openEnvelope(keks: KekProvider, envelope: Envelope): Promise<Buffer> {
  const dek = await keks.unwrap(envelope.kekId, envelope.wrappedDek, dekAad(envelope))
  try {
    return decrypt(dek, envelope, secretAad(envelope))
  } finally {
    dek.fill(0)
  }
}

type Head = Omit<Envelope, 'wrappedDek' | 'iv' | 'ciphertext' | 'tag'>

const common = (of: Head) => [of.format, TENANT, of.credentialId, of.version, of.sealId]
const secretAad = (of: Head) => aad(...common(of), 'secret', of.sealedKekId)
/** What a wrapped data key is bound to. */
export const dekAad = (of: Head) => aad(...common(of), 'dek', of.kekId)
