import { createHash, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { parserError } from './operations.ts'
import type { BrokerSettings, BrokerUser } from './options.ts'

/** The JSON of CONNECT, as far as it is used here; field names are the protocol's. */
const connectSchema = z.object({
  verbose: z.boolean().default(false),
  echo: z.boolean().default(true),
  headers: z.boolean().default(false),
  no_responders: z.boolean().default(false),
  name: z.string().optional(),
  user: z.string().optional(),
  pass: z.string().optional(),
  auth_token: z.string().optional(),
})

export type ConnectRequest = z.output<typeof connectSchema>

/** Throws ProtocolError. */
export function readConnect(json: string): ConnectRequest {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw parserError()
  }
  const parsed = connectSchema.safeParse(value)
  if (!parsed.success) throw parserError()
  return parsed.data
}

/**
 * The user who is connecting, `anybody` where the broker has no users, or undefined when the credentials are wrong.
 * Takes the same time whether the user or only the password is wrong.
 */
export function authenticate(settings: BrokerSettings, request: ConnectRequest): BrokerUser | 'anybody' | undefined {
  if (settings.token !== undefined) return same(request.auth_token, settings.token) ? 'anybody' : undefined
  if (settings.users.length === 0) return 'anybody'
  let found: BrokerUser | undefined
  for (const user of settings.users) {
    const known = same(request.user, user.user)
    if (same(request.pass, user.password) && known) found = user
  }
  return found
}

function same(given: string | undefined, expected: string): boolean {
  return timingSafeEqual(digest(given ?? ''), digest(expected)) && given !== undefined
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
