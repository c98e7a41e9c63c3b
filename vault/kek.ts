import type { Check } from '../infra/lifecycle.ts'

/**
 * Who holds the key-encryption keys. Asynchronous because a key management service answers over a network; `aad` is
 * what such services call associated data or the encryption context.
 */
export interface KekProvider {
  /** Id of the key that wraps what is new. */
  readonly active: string
  ids(): readonly string[]
  /** Wraps with the named key. Throws UnknownKek, KekUnavailable. */
  wrap(kekId: string, plaintext: Uint8Array, aad: Buffer): Promise<Buffer>
  /** The caller wipes what it gets. Throws UnknownKek, NotAuthentic, KekUnavailable. */
  unwrap(kekId: string, wrapped: Buffer, aad: Buffer): Promise<Buffer>
  /** Looks again which keys there are: somebody may have made a new one. Throws as at the start. */
  refresh(): Promise<void>
  /** Makes a key that wraps what is new from now on, and answers its id. Throws KekFixed, KekUnavailable. */
  renew(now: string): Promise<string>
  /** Makes sure that nothing can be unwrapped with the key any more. Throws KekFixed, UnknownKek, KekUnavailable. */
  destroy(kekId: string): Promise<void>
  health(): Promise<Check>
}

export class UnknownKek extends Error {
  override name = 'UnknownKek'
}

/** The service that holds the keys does not answer, or does not let us in. Says nothing about the keys. */
export class KekUnavailable extends Error {
  override name = 'KekUnavailable'
}

/** Its keys are made and destroyed elsewhere; the message says where. */
export class KekFixed extends Error {
  override name = 'KekFixed'
}

export const unknownKek = (kekId: string): UnknownKek => new UnknownKek(`there is no key-encryption key ${kekId}`)
