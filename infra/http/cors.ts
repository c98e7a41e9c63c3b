import type { FastifyInstance } from 'fastify'

/** What a page may send and read; a header that is not safelisted needs to be named (Fetch standard, 3.3). */
const ASKS =
  'authorization, content-type, idempotency-key, if-match, last-event-id, prefer, x-api-key, x-correlation-id, x-justification, x-ticket, traceparent'
const READS =
  'etag, x-position, x-correlation-id, retry-after, ratelimit, ratelimit-policy, content-disposition, content-range'
const METHODS = 'GET, HEAD, POST'

/**
 * Answers to browsers on behalf of pages from other origins: only those that were configured, each by its full name,
 * never `null`, never all. There are no cookies, so credentials are never allowed: a page has to hold a key itself.
 * Without configured origins nothing is said, and browsers keep every answer from every page of another origin.
 */
export function allowOrigins(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return
  const allowed = new Set(origins)
  app.addHook('onRequest', (request, reply, done) => {
    // Also without an origin: a cache must not hand one origin's answer to another.
    reply.header('vary', 'Origin')
    const { origin } = request.headers
    if (origin === undefined || !allowed.has(origin)) return done()
    reply.header('access-control-allow-origin', origin)
    // Helmet keeps answers to this origin; these are meant for one more.
    reply.header('cross-origin-resource-policy', 'cross-origin')
    if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) {
      reply.header('access-control-expose-headers', READS)
      return done()
    }
    reply.header('access-control-allow-methods', METHODS).header('access-control-allow-headers', ASKS)
    reply.header('access-control-max-age', '600').code(204).send()
  })
}
