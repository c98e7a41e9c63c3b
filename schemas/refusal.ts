import { z } from 'zod'
import { id, instant, type MessageOf, metadataSchema } from './kernel.ts'

/**
 * Stream `refusal-<refusalId>`: a request that was turned away before it became a command or a query, for want of a
 * valid key or permission, for its form or for its number. Who sent it, as far as that is known, and from where is in the
 * metadata. `route` is the pattern of the route, never what stood in the URL. A source that goes on is counted: one
 * summary tells of all of them, by the sources that were refused most; `others` is how many came from further ones.
 */
export const refusalEvents = {
  RequestRefused: z.object({
    refusalId: id,
    method: z.string().max(20),
    route: z.string().max(200),
    status: z.int().min(400).max(499),
    code: z.string().max(60),
  }),
  RequestRefusalsCounted: z.object({
    refusalId: id,
    since: instant,
    count: z.int().min(1),
    codes: z.record(z.string().max(60), z.int().min(1)),
    sources: z.array(z.object({ source: z.string().max(200), count: z.int().min(1) })).max(20),
    others: z.int().min(0),
  }),
}
export type RefusalEvent = MessageOf<typeof refusalEvents>

const metadata = metadataSchema.omit({ schemaVersion: true })

/** What a role that cannot write to the log asks one that can to record. The answer is empty, and means durable. */
export const refusalMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('RequestRefused'), data: refusalEvents.RequestRefused, metadata }),
  z.strictObject({ type: z.literal('RequestRefusalsCounted'), data: refusalEvents.RequestRefusalsCounted, metadata }),
])
export type RefusalMessage = z.output<typeof refusalMessage>
