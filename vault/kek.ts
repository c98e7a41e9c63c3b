import type { Keks } from '../infra/kek-file.ts'
import type { Check } from '../infra/lifecycle.ts'
import { decrypt, encrypt, pack, unpack } from './aes-gcm.ts'

/**
 * Who holds the key-encryption keys. Asynchronous because a key management service answers over a network; `aad` is
 * what such services call the encryption context.
 */
export interface KekProvider {
  /** Id of the key that wraps what is new. */
  readonly active: string
  ids(): readonly string[]
  /** Wraps with the named key. Throws UnknownKek. */
  wrap(kekId: string, plaintext: Uint8Array, aad: Buffer): Promise<Buffer>
  /** The caller wipes what it gets. Throws UnknownKek, NotAuthentic. */
  unwrap(kekId: string, wrapped: Buffer, aad: Buffer): Promise<Buffer>
  health(): Promise<Check>
}

export class UnknownKek extends Error {
  override name = 'UnknownKek'
}

/** Keys that were read from a file and live in this process's memory. */
export function fileKekProvider({ active, keys }: Keks): KekProvider {
  const keyOf = (kekId: string): Buffer => {
    const key = keys.get(kekId)
    if (!key) throw new UnknownKek(`there is no key-encryption key ${kekId}`)
    return key
  }
  return {
    active,
    ids: () => [...keys.keys()],
    wrap: async (kekId, plaintext, aad) => pack(encrypt(keyOf(kekId), plaintext, aad)),
    unwrap: async (kekId, wrapped, aad) => decrypt(keyOf(kekId), unpack(wrapped), aad),
    health: async () => ({ name: 'key-encryption key', ok: true, detail: active }),
  }
}
