import { randomBytes } from 'node:crypto'
import { aad } from '../aad.ts'
import { decrypt, encrypt, pack, unpack } from '../aes-gcm.ts'
import type { KekProvider } from '../kek.ts'

const FORMAT = 1
const DEK_BYTES = 32

/** The data key of one person, wrapped: destroying it makes everything sealed under it unreadable. */
export type WrappedKey = { userId: string; kekId: string; wrapped: Buffer }
/** Opens and seals records of one person; `record` says which, so that one cannot be put in the place of another. */
export type SubjectKey = {
  seal(record: string, plaintext: Uint8Array): Buffer
  /** The caller wipes what it gets. Throws NotAuthentic. */
  open(record: string, sealed: Buffer): Buffer
}

/** What a wrapped data key is bound to, for whoever wraps it anew under another key-encryption key. */
export const subjectKeyAad = (userId: string, kekId: string): Buffer => aad(FORMAT, 'subject-dek', userId, kekId)

export async function newSubjectKey(keks: KekProvider, userId: string): Promise<WrappedKey> {
  const kekId = keks.active
  const dek = randomBytes(DEK_BYTES)
  try {
    return { userId, kekId, wrapped: await keks.wrap(kekId, dek, subjectKeyAad(userId, kekId)) }
  } finally {
    dek.fill(0)
  }
}

/** Lends the data key to some work and wipes it afterwards. Throws NotAuthentic, UnknownKek, KekUnavailable. */
export async function withSubjectKey<T>(
  keks: KekProvider,
  { userId, kekId, wrapped }: WrappedKey,
  work: (key: SubjectKey) => T | Promise<T>,
): Promise<T> {
  const dek = await keks.unwrap(kekId, wrapped, subjectKeyAad(userId, kekId))
  const bound = (record: string) => aad(FORMAT, 'subject', userId, record)
  try {
    return await work({
      seal: (record, plaintext) => pack(encrypt(dek, plaintext, bound(record))),
      open: (record, sealed) => decrypt(dek, unpack(sealed), bound(record)),
    })
  } finally {
    dek.fill(0)
  }
}
