import type { Keks } from '../../infra/kek-file.ts'
import { decrypt, encrypt, pack, unpack } from '../aes-gcm.ts'
import { unknownKek } from '../kek.ts'

/** Keys that live in this process's memory. */
export function heldKeys({ active, keys }: Keks) {
  const keyOf = (kekId: string): Buffer => {
    const key = keys.get(kekId)
    if (!key) throw unknownKek(kekId)
    return key
  }
  return {
    active,
    ids: (): readonly string[] => [...keys.keys()],
    wrap: (kekId: string, plaintext: Uint8Array, aad: Buffer): Buffer => pack(encrypt(keyOf(kekId), plaintext, aad)),
    unwrap: (kekId: string, wrapped: Buffer, aad: Buffer): Buffer => decrypt(keyOf(kekId), unpack(wrapped), aad),
  }
}
