import { sendGuarded } from './client.ts'
import type { EgressPolicy } from './policy.ts'

type Init = {
  method?: string
  headers?: Record<string, string>
  body?: unknown
  signal?: AbortSignal | null
}
type Limits = { timeoutMs: number; maxBytes: number }
const CONNECT_MS = 5_000
/** A Response of these has no body, by the Fetch standard. */
const bodiless = new Set([204, 205, 304])

/**
 * For libraries that bring their own HTTP and take a `fetch` for it: the same as `sendGuarded`, redirects are not
 * followed. Takes text bodies only. Rejects with EgressFailure.
 */
export function guardedFetch(policy: EgressPolicy, { timeoutMs, maxBytes }: Limits) {
  return async (url: string, { method = 'GET', headers = {}, body, signal }: Init = {}): Promise<Response> => {
    const timeout = AbortSignal.timeout(timeoutMs)
    const text = textOf(body)
    const answer = await sendGuarded(policy, {
      ...{ method, url, headers, followRedirects: 0, maxBytes, connectMs: Math.min(CONNECT_MS, timeoutMs) },
      ...(text !== undefined && { body: text }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    })
    const given = Object.entries(answer.headers).flatMap(([name, value]) =>
      [value ?? []].flat().map((each): [string, string] => [name, each]),
    )
    const { status } = answer
    return new Response(bodiless.has(status) ? null : new Uint8Array(answer.body), { status, headers: given })
  }
}

function textOf(body: unknown): string | undefined {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string' || body instanceof URLSearchParams) return body.toString()
  throw new TypeError('only text is sent')
}
