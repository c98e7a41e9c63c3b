import type { z } from 'zod'
import {
  type Bus,
  BusError,
  type BusHeaders,
  type BusMessage,
  type RequestOptions,
  type SubscribeOptions,
  type Subscription,
} from './port.ts'

/** Header of an answer that is an error; its value is the code. */
export const errorHeader = 'opsc-error'
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** The other side answered a request with an error; `code` says which, `bad-payload` and `internal` are the bus's own. */
export class BusRemoteError extends BusError {
  override name = 'BusRemoteError'
  readonly code: string
  constructor(code: string, detail: string) {
    super(`${code}: ${detail}`)
    this.code = code
  }
}

/** What came over the bus is not what the schema says. Never holds the payload itself: it may be secret. */
export class BusBadPayload extends BusError {
  override name = 'BusBadPayload'
}

/** Reads UTF-8 JSON and parses it by the schema. Throws BusBadPayload. */
export function parseJson<S extends z.ZodType>(schema: S, data: Uint8Array): z.output<S> {
  let value: unknown
  try {
    value = JSON.parse(decoder.decode(data))
  } catch {
    throw new BusBadPayload('Not UTF-8 JSON')
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const where = parsed.error.issues.map(issue => `${issue.path.join('.') || '(top)'}: ${issue.code}`)
  throw new BusBadPayload(`Payload refused by its schema at ${where.slice(0, 5).join(', ')}`)
}

/** Publishes a value as JSON. */
export function publishJson(bus: Bus, subject: string, payload: unknown): void {
  bus.publish(subject, encoder.encode(JSON.stringify(payload)))
}

/**
 * Sends a value as JSON and parses the answer by the schema. Throws what `Bus.request` throws, BusRemoteError when the
 * other side failed, BusBadPayload when the answer does not fit.
 */
export async function requestJson<S extends z.ZodType>(
  bus: Bus,
  subject: string,
  answer: S,
  payload: unknown,
  options: RequestOptions,
): Promise<z.output<S>> {
  const { payload: answered } = await exchangeJson(bus, subject, answer, payload, options)
  return answered
}

/** The same, and the headers of the answer with it. */
export async function exchangeJson<S extends z.ZodType>(
  bus: Bus,
  subject: string,
  answer: S,
  payload: unknown,
  options: RequestOptions,
): Promise<{ payload: z.output<S>; headers: BusHeaders }> {
  const { data, headers } = await bus.request(subject, encoder.encode(JSON.stringify(payload)), options)
  const code = headers[errorHeader]
  if (code !== undefined) throw new BusRemoteError(code, new TextDecoder().decode(data).slice(0, 1000))
  return { payload: parseJson(answer, data), headers }
}

/**
 * Handles JSON messages that fit the schema and answers requests with what the handler returns (`undefined` answers
 * nothing, so that a handler may reply later). A misfit is answered with `bad-payload`; an error of the handler with
 * its string `code`, else `internal`, its text kept to the log of this side.
 */
export function subscribeJson<S extends z.ZodType>(
  bus: Bus,
  subject: string,
  schema: S,
  handler: (payload: z.output<S>, message: BusMessage) => unknown,
  options?: SubscribeOptions,
): Subscription {
  return bus.subscribe(
    subject,
    async message => {
      try {
        const result = await handler(parseJson(schema, message.data), message)
        if (result !== undefined) message.reply(encoder.encode(JSON.stringify(result)))
      } catch (error) {
        message.reply(detailOf(error), { [errorHeader]: codeOf(error) })
        throw error
      }
    },
    options,
  )
}

function codeOf(error: unknown): string {
  if (error instanceof BusBadPayload) return 'bad-payload'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[a-z][a-z0-9-]{0,63}$/.test(code) ? code : 'internal'
}

function detailOf(error: unknown): string {
  return error instanceof Error && codeOf(error) !== 'internal' ? error.message : 'The other side failed'
}
