import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import Fastify, { type FastifyInstance, type FastifyRequest, LogController } from 'fastify'
import { validate } from 'uuid'
import { ProblemError } from '../../schemas/problems.ts'
import { readiness } from '../health.ts'
import { type Ids, systemIds } from '../ids.ts'
import type { Check } from '../lifecycle.ts'
import type { Log } from '../log.ts'
import { type Authenticate, guardAccess } from './access.ts'
import { checkConsumes, restrictBodies } from './bodies.ts'
import { sendClientError, sendProblem } from './errors.ts'
import { keepRouteTable } from './route-table.ts'

export type HttpServerOptions = {
  log: Log
  /** Turns the presented API key into a principal; undefined refuses it. */
  authenticate: Authenticate
  /** Conditions for GET /health/ready. */
  ready: () => Promise<Check[]> | Check[]
  /** Bytes; default 1 MiB. */
  bodyLimit?: number
  /** Requests per second and key; 0, the default, is unlimited. */
  rateLimit?: number
  ids?: Ids
  /** How long headers and the whole request may take to arrive. Default 10 s and 30 s. */
  timeouts?: { headersMs: number; requestMs: number }
}

const TIMEOUTS = { headersMs: 10_000, requestMs: 30_000 }
const KEEP_ALIVE_MS = 65_000

/**
 * An HTTP server on which every route needs an API key and a declared permission unless it is `public`, every error is
 * problem details (RFC 9457), every body is strict JSON and every answer carries `X-Correlation-Id`.
 * Routes: `http.post(url, { config: { permission: 'target:write', api } }, handler)`.
 */
export async function createHttpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const app = newServer(options)
  app.setErrorHandler(sendProblem)
  const headers = await securityHeaders()
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers).header('x-correlation-id', request.id)
    done()
  })
  logRequests(app, options.log)
  guardAccess(app, options.authenticate)
  restrictBodies(app)
  app.addHook('onRoute', checkConsumes)
  keepRouteTable(app)
  await limitRate(app, options.rateLimit ?? 0)
  registerHealth(app, options.ready)
  return app
}

/** Nothing from elsewhere; no upgrade of requests, because the server may be reached over plain HTTP on loopback. */
const contentSecurityPolicy = {
  'default-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'style-src': ["'self'", "'unsafe-inline'"],
  'frame-ancestors': ["'none'"],
  'upgrade-insecure-requests': null,
}

/** What helmet sets is the same for every answer here, and asking it each time would cost a tenth of a request. */
async function securityHeaders(): Promise<Record<string, string>> {
  const asked = Fastify()
  await asked.register(helmet, { contentSecurityPolicy: { directives: contentSecurityPolicy } })
  const { headers } = await asked.get('/', async () => '').inject('/')
  await asked.close()
  const own = Object.entries(headers).filter(([name]) => !ownHeaders.has(name))
  return Object.fromEntries(own.map(([name, value]) => [name, String(value)]))
}
/** Of the answer itself, not of helmet. */
const ownHeaders = new Set(['content-type', 'content-length', 'date', 'connection', 'keep-alive'])

function newServer({ log, bodyLimit, ids = systemIds, timeouts = TIMEOUTS }: HttpServerOptions): FastifyInstance {
  // The logger's own type would make every plugin signature generic; the base logger is all that is used here.
  return Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'correlationId' }),
    requestIdHeader: false,
    genReqId: request => correlationId(request.headers['x-correlation-id'], ids),
    bodyLimit: bodyLimit ?? 1_048_576,
    requestTimeout: timeouts.requestMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: { headersTimeout: timeouts.headersMs, connectionsCheckingInterval: timeouts.headersMs / 5 },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    routerOptions: { maxParamLength: 200 },
    clientErrorHandler: sendClientError,
    frameworkErrors: sendProblem,
  }) as unknown as FastifyInstance
}

function correlationId(given: string | string[] | undefined, ids: Ids): string {
  return typeof given === 'string' && validate(given) ? given.toLowerCase() : ids.next()
}

function logRequests(app: FastifyInstance, log: Log): void {
  app.addHook('onResponse', (request, reply, done) => {
    done()
    const level = request.method === 'GET' && reply.statusCode < 400 ? 'debug' : 'info'
    if (request.routeOptions.config.quiet || !log.isLevelEnabled(level)) return
    const fields = {
      method: request.method,
      // The pattern, not the URL: what is in a URL may be nobody's business.
      route: request.routeOptions.url,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime * 10) / 10,
      actor: request.principal?.actor.id,
    }
    request.log[level](fields, 'request')
  })
}

async function limitRate(app: FastifyInstance, perSecond: number): Promise<void> {
  if (perSecond === 0) return
  await app.register(rateLimit, {
    max: perSecond,
    timeWindow: 1000,
    hook: 'preValidation',
    keyGenerator: (request: FastifyRequest) => request.principal?.actor.id ?? request.ip,
    allowList: (request: FastifyRequest) => request.routeOptions.config.quiet === true,
    errorResponseBuilder: () => new ProblemError('rate-limited'),
  })
}

function registerHealth(app: FastifyInstance, ready: HttpServerOptions['ready']): void {
  const config = { public: true, quiet: true } as const
  app.get('/health/live', { config }, async () => ({ live: true }))
  app.get('/health/ready', { config }, async (_request, reply) => {
    const state = await readiness(ready)
    reply.code(state.ready ? 200 : 503).header('cache-control', 'no-store')
    return state
  })
}

/** Listens and answers the URL. @throws Error with a message for the operator when the port is taken. */
export async function listen(http: FastifyInstance, { host, port }: { host: string; port: number }): Promise<string> {
  try {
    return await http.listen({ host, port })
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'EADDRINUSE') throw error
    throw new Error(`The port ${port} is taken by another program; choose another with OPSCONDUCTOR_PORT`)
  }
}
