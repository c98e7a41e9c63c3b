import { z } from 'zod'
import { originOf, type Principal, ProblemError, parseInput, type Request } from '../infra/http/index.ts'
import { line, type Origin } from '../schemas/kernel.ts'

/** What a request says beside its body. */
export type Envelope = {
  principal: Principal
  correlationId: string
  origin: Origin
  idempotencyKey?: string | undefined
  /** Revision from If-Match. */
  expected?: bigint | undefined
  justification?: string | undefined
  ticket?: string | undefined
  traceparent?: string | undefined
}

export const idempotencyKey = z
  .string()
  .regex(/^[\x21-\x7e]{1,200}$/, 'up to 200 printable ASCII characters without blanks')

/** Headers every command takes. */
export const commandHeaders = z.object({
  'Idempotency-Key': idempotencyKey
    .optional()
    .describe('The same key and body give the same answer, however often they are sent'),
  'If-Match': z
    .string()
    .regex(/^"?\d{1,18}"?$/, 'the ETag of an earlier answer')
    .optional()
    .describe('Only if the resource is still at this revision'),
  'X-Justification': line(500).optional().describe('Why, kept with every event'),
  'X-Ticket': line(100).optional().describe('Where it was asked for, kept with every event'),
  traceparent: z.string().optional(),
})
/** https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** @throws ProblemError invalid-input for a header that does not fit; an odd traceparent is left out, as its standard says. */
export function envelopeOf(request: Request): Envelope {
  const who = whoAsks(request)
  if (!who) throw new ProblemError('unauthenticated')
  const given = headersOf(request.headers)
  const match = given['If-Match']?.replaceAll('"', '')
  return {
    ...who,
    idempotencyKey: given['Idempotency-Key'],
    expected: match === undefined ? undefined : BigInt(match),
    justification: given['X-Justification'],
    ticket: given['X-Ticket'],
    traceparent: given.traceparent?.match(TRACEPARENT)?.[0],
  }
}

/** The part of the envelope that holds whatever else the request says; undefined without a valid API key. */
export function whoAsks(request: Request): Pick<Envelope, 'principal' | 'correlationId' | 'origin'> | undefined {
  const { principal, id: correlationId } = request
  return principal && { principal, correlationId, origin: originOf(request) }
}

type CommandHeaders = z.output<typeof commandHeaders>
const headerNames = Object.keys(commandHeaders.shape).map(name => [name, name.toLowerCase()] as const)
const none: CommandHeaders = {}

/** The headers above, by the names people know; most requests have none of them. */
function headersOf(raw: Request['headers']): CommandHeaders {
  const given = headerNames.filter(([, key]) => raw[key] !== undefined)
  if (given.length === 0) return none
  return parseInput(commandHeaders, Object.fromEntries(given.map(([name, key]) => [name, fromLatin1(raw[key])])))
}

/** Header bytes arrive as Latin-1; people write UTF-8. */
function fromLatin1(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(value, 'latin1'))
  } catch {
    return value
  }
}
