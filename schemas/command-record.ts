import { z } from 'zod'
import { id, instant, type MessageOf, sha256 } from './kernel.ts'

/**
 * Stream `command-<commandId>`. For a request that carries an Idempotency-Key it is written with no_stream before
 * anything is decided. It pins what the key stands for (body digest, resource id), so that a repeat after a crash
 * finds the same resource and the same event ids; a decision that left no event of its own is recorded here.
 * Without a key it holds only a refusal, or how many more of one principal were refused: `count` of them since `since`,
 * by problem code. `stream` is what the refused command was about, where that is known.
 */
export const commandEvents = {
  CommandReceived: z.object({ commandId: id, command: z.string(), bodyDigest: sha256, stream: z.string() }),
  CommandChangedNothing: z.object({ commandId: id, revision: z.string(), position: z.string() }),
  CommandRejected: z.object({
    commandId: id,
    command: z.string(),
    code: z.string(),
    detail: z.string(),
    /** What in the request was wrong, so far as there is room; of a request with an Idempotency-Key. */
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    stream: z.string().optional(),
  }),
  CommandRefusalsCounted: z.object({
    commandId: id,
    since: instant,
    count: z.int().min(1),
    codes: z.record(z.string(), z.int().min(1)),
  }),
}
export type CommandRecordEvent = MessageOf<typeof commandEvents>
