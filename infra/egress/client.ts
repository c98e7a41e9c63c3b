import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { createSecureContext } from 'node:tls'
import type { EgressPolicy } from './policy.ts'
import { type Address, type Resolver, systemResolver } from './resolver.ts'

export type EgressFailureClass =
  | 'policy-denied'
  | 'credential-unavailable'
  | 'dns'
  | 'refused'
  | 'unreachable'
  | 'unexpected-answer'
  | 'stopped'

/** Why there is no answer. `sent`: the request may have reached the other side, and done there what it asks for. */
export class EgressFailure extends Error {
  override name = 'EgressFailure'
  readonly class: EgressFailureClass
  readonly sent: boolean
  constructor(failureClass: EgressFailureClass, detail: string, options: { sent?: boolean } = {}) {
    super(detail)
    this.class = failureClass
    this.sent = options.sent ?? false
  }
}

export type ClientCertificate = { certificate: string; privateKey: string; passphrase?: string | undefined }
export type EgressRequest = {
  method: string
  /** http or https. */
  url: string
  headers: Readonly<Record<string, string>>
  body?: string
  /** Shown to the origin of `url` when it asks, by TLS, and to no other: PEM, the certificate with its chain. */
  certificate?: ClientCertificate | undefined
  followRedirects: number
  /** A longer answer is refused. */
  maxBytes: number
  /** Milliseconds for each TCP and TLS connection. */
  connectMs: number
  signal: AbortSignal
}
export type EgressResponse = { status: number; headers: IncomingHttpHeaders; body: Buffer; url: string }

type Hop = {
  method: string
  url: URL
  headers: Record<string, string>
  body: string | undefined
  identity: Identity | undefined
}
type Identity = { cert: string; key: string; passphrase?: string }

/** Set by us, or about the connection: not for a caller to say. */
const RESERVED = /^(?:host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|content-length|expect)$/i
/** All that another origin gets to see of the caller's headers: any of the others may be a credential. */
const HARMLESS = new Set(['accept', 'accept-language', 'content-type', 'user-agent'])

/**
 * Sends an HTTP request to where the policy lets it. Names are resolved once, every address they have is checked, and
 * the connection goes to one of those; the same again for each redirect, which takes no credential to another origin
 * and never leads from https to http. Proxy settings of the environment are not looked at. Rejects with EgressFailure.
 */
export async function sendGuarded(
  policy: EgressPolicy,
  request: EgressRequest,
  resolver: Resolver = systemResolver,
): Promise<EgressResponse> {
  const url = parseUrl(request.url)
  let hop: Hop = {
    ...{ method: request.method, url, body: request.body, identity: identityFor(url, request.certificate) },
    headers: checkedHeaders(request.headers),
  }
  for (let left = request.followRedirects; ; left -= 1) {
    const addresses = await resolve(hop.url, { policy, resolver, signal: request.signal })
    const answer = await exchange(hop, addresses, request)
    const { location } = answer.headers
    const moved = [301, 302, 303, 307, 308].includes(answer.status) && location !== undefined
    if (!moved || request.followRedirects === 0) return answer
    if (left === 0) throw new EgressFailure('unexpected-answer', 'too many redirects', { sent: true })
    hop = redirected(hop, answer.status, location)
  }
}

function parseUrl(text: string, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) throw new EgressFailure('policy-denied', 'not a URL')
  const url = new URL(text, base)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new EgressFailure('policy-denied', `only http and https are spoken, not ${url.protocol.slice(0, 30)}`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new EgressFailure('policy-denied', 'a user name or password in a URL is not sent')
  }
  return url
}

/** Read once beforehand: what cannot be used is not sent half. */
function identityFor(url: URL, given: ClientCertificate | undefined): Identity | undefined {
  if (!given) return undefined
  if (url.protocol !== 'https:')
    throw new EgressFailure('policy-denied', 'a client certificate is shown over https only')
  const { certificate: cert, privateKey: key, passphrase } = given
  const identity = { cert, key, ...(passphrase !== undefined && { passphrase }) }
  try {
    createSecureContext(identity)
  } catch {
    // Its message may tell of the key.
    throw new EgressFailure('credential-unavailable', 'the client certificate and its key cannot be used')
  }
  return identity
}

function checkedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  for (const [name, value] of Object.entries(headers)) {
    if (RESERVED.test(name)) throw new EgressFailure('policy-denied', `the header ${name} cannot be set`)
    try {
      http.validateHeaderName(name)
      http.validateHeaderValue(name, value)
    } catch {
      throw new EgressFailure('policy-denied', `the header ${name} holds what a header cannot hold`)
    }
  }
  return { ...headers }
}

function redirected(hop: Hop, status: number, location: string): Hop {
  const url = parseUrl(location, hop.url)
  if (hop.url.protocol === 'https:' && url.protocol === 'http:') {
    throw new EgressFailure('policy-denied', 'a redirect from https to http is not followed', { sent: true })
  }
  const asGet = status === 303 ? hop.method !== 'HEAD' : (status === 301 || status === 302) && hop.method === 'POST'
  const kept = Object.entries(hop.headers).filter(([name]) => {
    const lower = name.toLowerCase()
    if (asGet && lower === 'content-type') return false
    return url.origin === hop.url.origin || HARMLESS.has(lower)
  })
  const headers = Object.fromEntries(kept)
  const identity = url.origin === hop.url.origin ? hop.identity : undefined
  return asGet ? { method: 'GET', url, headers, body: undefined, identity } : { ...hop, url, headers, identity }
}

/** Every address, or a refusal: a name that leads to one closed address is not asked at another. */
async function resolve(
  url: URL,
  { policy, resolver, signal }: { policy: EgressPolicy; resolver: Resolver; signal: AbortSignal },
): Promise<Address[]> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const version = isIP(host)
  const addresses =
    version === 0
      ? await lookupAll(host, signal, resolver)
      : [{ address: host, family: version === 4 ? 4 : 6 } as const]
  const denied = addresses.find(({ address }) => !policy.permits(host, address))
  if (denied) {
    const where = version === 0 ? `${host} (${denied.address})` : host
    throw new EgressFailure('policy-denied', `the egress policy does not allow ${where}`)
  }
  return addresses
}

function lookupAll(host: string, signal: AbortSignal, resolver: Resolver): Promise<Address[]> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(stopped(false))
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    const failed = (error: unknown) => reject(new EgressFailure('dns', `${host} does not resolve (${codeOf(error)})`))
    resolver(host)
      .then(found => (found.length === 0 ? failed(new Error('no address')) : resolve(found)), failed)
      .finally(() => signal.removeEventListener('abort', onAbort))
  })
}

const stopped = (sent: boolean) => new EgressFailure('stopped', 'stopped before the answer was complete', { sent })

/** Gives what was checked, whatever is asked: nothing is resolved a second time. */
function pinned(addresses: Address[]): LookupFunction {
  return (_host, options, callback) => {
    const [first] = addresses
    if (options.all) callback(null, addresses)
    else if (first) callback(null, first.address, first.family)
  }
}

function exchange(hop: Hop, addresses: Address[], request: EgressRequest): Promise<EgressResponse> {
  const { signal, connectMs } = request
  const { method, url, body, identity } = hop
  return new Promise((resolve, reject) => {
    let connected = false
    const sent = (url.protocol === 'https:' ? https : http).request(url, {
      ...{ method, agent: false, lookup: pinned(addresses), autoSelectFamily: true, signal, ...identity },
      headers: {
        ...{ accept: '*/*', 'user-agent': 'opsconductor', ...lowerCased(hop.headers) },
        ...{ 'accept-encoding': 'identity', connection: 'close' },
        ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
      },
    })
    const timer = setTimeout(() => {
      sent.destroy(new EgressFailure('unreachable', `${url.host}: no connection within ${connectMs / 1_000} s`))
    }, connectMs)
    sent.on('socket', socket => {
      socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => {
        connected = true
        clearTimeout(timer)
      })
    })
    sent.on('error', error => {
      clearTimeout(timer)
      reject(failureOf(error, url, { sent: connected, aborted: signal.aborted }))
    })
    sent.on('response', response => {
      collect(response, request).then(
        bytes => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes, url: url.href }),
        error => {
          response.destroy()
          reject(failureOf(error, url, { sent: true, aborted: signal.aborted }))
        },
      )
    })
    sent.end(body)
  })
}

const lowerCased = (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

async function collect(response: IncomingMessage, { maxBytes }: EgressRequest): Promise<Buffer> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of response) {
    bytes += part.length
    if (bytes > maxBytes) {
      throw new EgressFailure('unexpected-answer', `the answer is longer than ${maxBytes} bytes`, { sent: true })
    }
    parts.push(part)
  }
  return Buffer.concat(parts)
}

function failureOf(error: unknown, url: URL, { sent, aborted }: { sent: boolean; aborted: boolean }): EgressFailure {
  if (error instanceof EgressFailure) return error
  if (aborted) return stopped(sent)
  const code = codeOf(error)
  if (code === 'ECONNREFUSED') return new EgressFailure('refused', `${url.host} refused the connection`)
  if (sent) return new EgressFailure('unreachable', `${url.host}: the connection was lost (${code})`, { sent })
  return new EgressFailure('unreachable', `${url.host} cannot be reached (${code})`)
}

/** Where several addresses were tried, that of the last. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError) return codeOf(error.errors.at(-1))
  if (!(error instanceof Error)) return 'unknown'
  return 'code' in error ? String(error.code) : error.message
}
