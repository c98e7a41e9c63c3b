import { z } from 'zod'
import { id, line, type MessageOf, reason } from './kernel.ts'

/** As the provider that holds the key calls it; a key of AWS KMS by its ARN. */
export const kekId = z.string().min(1).max(200)

/** Stream `kek-<kekId>`: what becomes of a key-encryption key. */
export const kekEvents = {
  /** An operator had a new key made. */
  KekRotationRequested: z.object({ kekId, from: kekId, reason: reason.optional() }),
  /** From now on it wraps what is new. */
  KekActivated: z.object({ kekId, provider: line(40) }),
  /** Data keys that another key wrapped are wrapped by this one; recorded just before it is so. */
  CredentialKeyRewrapped: z.object({
    kekId,
    from: kekId,
    /** Whose keys: `credential`, `own-key` … */
    holder: line(40),
    count: z.int().min(1),
    /** Sealings of credentials, names of keys. */
    keys: z.array(line(100)).min(1),
  }),
  /** Nothing is wrapped by another key any more, except what is damaged. */
  KekRotationCompleted: z.object({ kekId, damaged: z.int().min(0) }),
  /** Nothing was wrapped by it any more, and it is gone. */
  KekDestroyed: z.object({ kekId, reason: reason.optional(), requestId: id }),
}
export type KekEvent = MessageOf<typeof kekEvents>
