import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** It was sealed with another key, for another purpose, or changed since. */
export class NotAuthentic extends Error {
  override name = 'NotAuthentic'
}

/** AES-256-GCM (NIST SP 800-38D): 96-bit random iv, 128-bit tag. */
export type Box = { iv: Buffer; ciphertext: Buffer; tag: Buffer }

const IV_BYTES = 12
const TAG_BYTES = 16

export function encrypt(key: Uint8Array, plaintext: Uint8Array, aad: Buffer): Box {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES }).setAAD(aad)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return { iv, ciphertext, tag: cipher.getAuthTag() }
}

/** Throws NotAuthentic. The caller wipes what it gets. */
export function decrypt(key: Uint8Array, box: Box, aad: Buffer): Buffer {
  let opened: Buffer | undefined
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, box.iv, { authTagLength: TAG_BYTES }).setAAD(aad)
    decipher.setAuthTag(box.tag)
    opened = decipher.update(box.ciphertext)
    decipher.final()
    return opened
  } catch {
    opened?.fill(0)
    throw new NotAuthentic('a ciphertext is not authentic')
  }
}

/** iv, ciphertext and tag in one piece, as wrapped keys are stored. */
export const pack = (box: Box): Buffer => Buffer.concat([box.iv, box.ciphertext, box.tag])

export function unpack(packed: Buffer): Box {
  return {
    iv: packed.subarray(0, IV_BYTES),
    ciphertext: packed.subarray(IV_BYTES, -TAG_BYTES),
    tag: packed.subarray(-TAG_BYTES),
  }
}
