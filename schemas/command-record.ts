import { z } from 'zod'
import { id, type MessageOf, sha256 } from './kernel.ts'

/**
 * Stream `command-<commandId>`: kept for requests that carry an Idempotency-Key, written with no_stream before
 * anything is decided. It pins what the key stands for (body digest, resource id), so that a repeat after a crash
 * finds the same resource and the same event ids; a decision that left no event of its own is recorded here.
 */
export const commandEvents = {
  CommandReceived: z.object({ commandId: id, command: z.string(), bodyDigest: sha256, stream: z.string() }),
  CommandChangedNothing: z.object({ commandId: id, revision: z.string(), position: z.string() }),
  CommandRejected: z.object({ commandId: id, command: z.string(), code: z.string(), detail: z.string() }),
}
export type CommandRecordEvent = MessageOf<typeof commandEvents>
