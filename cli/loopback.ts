import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ApiProblem, TimedOut } from './errors.ts'

/** What the provider's redirect carries (RFC 6749 section 4.1.2, RFC 9207). */
export type Redirect = { state: string; code: string; iss?: string }

export type Loopback = {
  port: number
  /**
   * The one request that carries this state; all others are refused.
   * Throws ApiProblem when the provider says no, TimedOut.
   */
  redirect(state: string, withinMs: number): Promise<Redirect>
  close(): void
}

const HOST = '127.0.0.1'
const PATH = '/signed-in'
/** Nothing of what was sent is in it, and nothing in it does anything. */
const page = (text: string) =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>OpsConductor</title><p>${text}</p></html>\n`
const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  connection: 'close',
}

/** Listens on a port of the loopback interface that the system chooses: RFC 8252 sections 7.3 and 8.3. */
export async function openLoopback(): Promise<Loopback> {
  let taking: { state: string; take(query: URLSearchParams): void } | undefined
  const limits = { headersTimeout: 5_000, requestTimeout: 5_000, maxHeaderSize: 16_384 }
  const server = createServer(limits, (request, response) => {
    const query = queryOf(request, port)
    if (!query) return tell(response, 404, 'There is nothing here.')
    if (!taking || !sameState(query.get('state'), taking.state))
      return tell(response, 400, 'This is not the sign-in that was begun here.')
    const { take } = taking
    taking = undefined
    tell(response, 200, 'Go back to the terminal. This page can be closed.', () => take(query))
  })
  server.maxConnections = 16
  await once(server.listen(0, HOST), 'listening')
  // A TCP server's address is never a path.
  const { port } = server.address() as AddressInfo
  return {
    port,
    async redirect(state, withinMs) {
      const late = new AbortController()
      const timer = setTimeout(() => late.abort(), withinMs)
      try {
        return redirectOf(
          state,
          await new Promise<URLSearchParams>((resolve, reject) => {
            taking = { state, take: resolve }
            late.signal.addEventListener('abort', () => reject(new TimedOut('nobody came back from the provider')))
          }),
        )
      } finally {
        clearTimeout(timer)
      }
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** Undefined for what is not the redirect, and for a page that reached this address by a name of its own. */
function queryOf({ method, url = '', headers }: IncomingMessage, port: number): URLSearchParams | undefined {
  const own = `http://${HOST}:${port}`
  if (method !== 'GET' || headers.host !== `${HOST}:${port}` || !URL.canParse(url, own)) return undefined
  const { origin, pathname, searchParams } = new URL(url, own)
  return origin === own && pathname === PATH ? searchParams : undefined
}

const digest = (text: string) => createHash('sha256').update(text).digest()
const sameState = (given: string | null, wanted: string) =>
  given !== null && timingSafeEqual(digest(given), digest(wanted))

function tell(response: ServerResponse, status: number, text: string, sent?: () => void): void {
  if (sent) response.once('close', sent)
  response.writeHead(status, HEADERS).end(page(text))
}

function redirectOf(state: string, query: URLSearchParams): Redirect {
  const [code, iss, error] = [query.get('code'), query.get('iss'), query.get('error')]
  if (error !== null || code === null) {
    const said = error !== null && /^[a-z_]{1,64}$/.test(error) ? error : 'no'
    throw new ApiProblem({
      ...{ type: 'urn:opsconductor:problem:sign-in-failed', title: 'That did not sign you in', status: 401 },
      detail: `the OpenID provider says ${said}`,
    })
  }
  return { state, code, ...(iss !== null && { iss }) }
}
