import { z } from 'zod'

export type SchemaMap = Record<string, z.ZodType>

/** Turns a map of zod schemas into a discriminated union of `{ type, data }`. */
export type MessageOf<M extends SchemaMap> = {
  [K in keyof M & string]: { type: K; data: z.output<M[K]> }
}[keyof M & string]

/** Any id we mint: a UUID in lower case. */
export const id = z.uuid().describe('UUID')
export const instant = z.iso.datetime({ offset: false }).describe('UTC instant, ISO 8601 with Z')

/** Control characters would let a name break out of a log line or a terminal. */
const printable = /^[^\p{Cc}\p{Cs}]*$/u
export const line = (max: number) => z.string().min(1).max(max).regex(printable, 'no control characters')
export const name = line(120)
export const reason = line(500)
export const tagKey = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?$/, 'lower-case letters, digits and . _ / -')
export const tagValue = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9._:@/-]*$/, 'letters, digits and . _ : @ / -')
export const tags = z.record(tagKey, tagValue).refine(t => Object.keys(t).length <= 64, 'at most 64 tags')
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
export const base64 = z.base64()

export const actorSchema = z.object({
  kind: z.enum(['user', 'api-key', 'service', 'executor', 'schedule', 'system', 'anonymous']),
  id: z.string().min(1).max(120),
  onBehalfOf: z.string().max(120).optional(),
  roles: z.array(z.string()).optional(),
  sessionId: z.string().optional(),
  mfa: z.boolean().optional(),
})
export type Actor = z.output<typeof actorSchema>

export const originSchema = z.object({
  channel: z.enum(['api', 'cli', 'ui', 'executor', 'system']),
  ip: z.string().optional(),
  userAgent: z.string().max(300).optional(),
})
export type Origin = z.output<typeof originSchema>

/**
 * What every event carries beside its payload. `$correlationId` and `$causationId` are the names
 * EventStoreDB itself knows; `at` is when the command was decided, UTC.
 */
export const metadataSchema = z.object({
  commandId: id,
  $correlationId: id,
  $causationId: id,
  actor: actorSchema,
  origin: originSchema,
  at: instant,
  schemaVersion: z.int().min(1),
  command: z.string().optional(),
  bodyDigest: sha256.optional(),
  traceparent: z.string().optional(),
  justification: z.string().optional(),
  ticket: z.string().optional(),
})
export type EventMetadata = z.output<typeof metadataSchema>

/** What a decider is told about the command it decides: the only source of time and ids in the domain. */
export type Meta = Omit<EventMetadata, 'schemaVersion'>
