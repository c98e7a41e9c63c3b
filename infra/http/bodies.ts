import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import { ProblemError } from '../../schemas/problems.ts'
import { refusing } from './check.ts'
import { mayBeLong } from './long-bodies.ts'
import { parseStrictJson } from './strict-json.ts'

const patterns = {
  'application/json': /^application\/json(?:; ?charset=utf-8)?$/i,
  'application/x-ndjson': /^application\/x-ndjson(?:; ?charset=utf-8)?$/i,
  'application/octet-stream': /^application\/octet-stream$/i,
}
const withBody = new Set(['POST', 'PUT', 'PATCH'])

/**
 * Lets in exactly one content type per route, compared as a whole: what the framework's own matching may forgive
 * (a second header, odd blanks, parameters) is refused before the body is read.
 */
export function restrictBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      // parseAs 'buffer' always hands over a Buffer.
      done(null, parseStrictJson(body as Buffer))
    } catch (error) {
      done(error as Error)
    }
  })
  app.addContentTypeParser('application/x-ndjson', (_request, stream, done) => done(null, stream))
  app.addContentTypeParser('application/octet-stream', (request, stream, done) => {
    mayBeLong(request.raw.socket)
    done(null, stream)
  })
  const check = (request: FastifyRequest) => {
    if (!request.is404 && withBody.has(request.method)) checkContentType(request)
  }
  app.addHook('onRequest', refusing(check))
}

function checkContentType(request: FastifyRequest): void {
  const wanted = request.routeOptions.config.consumes ?? 'application/json'
  if (wanted === 'none') refuseAnyBody(request)
  else checkBody(request, wanted)
}

function checkBody(request: FastifyRequest, wanted: keyof typeof patterns): void {
  const given = rawValues(request, 'content-type')
  if (given.length !== 1 || !patterns[wanted].test(given[0] ?? ''))
    throw new ProblemError('unsupported-media-type', `Send exactly one Content-Type: ${wanted}`)
  const encoding = request.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity')
    throw new ProblemError('unsupported-media-type', 'Send the body without Content-Encoding')
  const empty = request.headers['content-length'] === '0' || !hasBody(request)
  if (empty && wanted === 'application/json') throw new ProblemError('invalid-json', 'The body is empty')
}

function refuseAnyBody(request: FastifyRequest): void {
  if (hasBody(request) && request.headers['content-length'] !== '0')
    throw new ProblemError('unsupported-media-type', 'This takes no body')
}

const hasBody = (request: FastifyRequest) =>
  request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined

/** All values of a header as sent: the parsed headers keep only the first Content-Type, and the first Host. */
export function rawValues(request: FastifyRequest, name: string): string[] {
  const raw = request.raw.rawHeaders
  return raw.filter((_, i) => i % 2 === 1 && raw[i - 1]?.toLowerCase() === name)
}

/** Wrong declarations are found when the route is registered, not when it is called. */
export function checkConsumes(route: RouteOptions): void {
  const consumes = route.config?.consumes
  const methods = [route.method].flat()
  if (consumes !== undefined && !methods.some(method => withBody.has(method)))
    throw new Error(`${methods.join(',')} ${route.url} cannot take a body`)
}
