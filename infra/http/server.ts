import helmet from '@fastify/helmet'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import { validate } from 'uuid'
import { sharedReadiness } from '../health.ts'
import { type Ids, systemIds } from '../ids.ts'
import type { Check } from '../lifecycle.ts'
import type { Log } from '../log.ts'
import { type Authenticate, guardAccess } from './access.ts'
import { checkConsumes, restrictBodies } from './bodies.ts'
import { limitConnections } from './connections.ts'
import { allowOrigins } from './cors.ts'
import { defaultEdge, type EdgeOptions } from './edge-options.ts'
import { sendClientError, sendProblem } from './errors.ts'
import { type TrustProxy, trustedProxies } from './proxies.ts'
import { limitRate } from './rate-limit.ts'
import { type OnRefused, tellBadRequest, tellRefusal, tellRefusals } from './refused.ts'
import { keepRouteTable } from './route-table.ts'

export type HttpServerOptions = {
  log: Log
  /** Turns the presented API key into a principal; undefined refuses it. */
  authenticate: Authenticate
  /** Conditions for GET /health/ready. */
  ready: () => Promise<Check[]> | Check[]
  /** Bytes; default 1 MiB. */
  bodyLimit?: number
  /** How it stands towards the network; the defaults of the configuration. */
  edge?: Partial<EdgeOptions>
  /** Hears of every request that is turned away. */
  refused?: OnRefused
  ids?: Ids
  /** How long headers and the whole request may take to arrive, and nothing at all may move. 10 s, 30 s, 60 s. */
  timeouts?: Partial<typeof TIMEOUTS>
}

const TIMEOUTS = { headersMs: 10_000, requestMs: 30_000, stillMs: 60_000 }
const KEEP_ALIVE_MS = 65_000

/**
 * An HTTP server on which every route needs an API key and a declared permission unless it is `public`, every error is
 * problem details (RFC 9457), every body is strict JSON and every answer carries `X-Correlation-Id`.
 * Routes: `http.post(url, { config: { permission: 'target:write', api } }, handler)`.
 */
export async function createHttpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const edge = { ...defaultEdge, ...options.edge }
  const trusted = trustedProxies(edge.trustedProxies)
  const app = newServer(options, trusted)
  limitConnections(app.server, edge, trusted, options.log)
  const headers = await securityHeaders()
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers).header('x-correlation-id', request.id)
    done()
  })
  logRequests(app, options.log)
  if (options.refused) tellRefusals(app, options.refused)
  allowOrigins(app, edge.corsOrigins)
  guardAccess(app, options.authenticate)
  const limits = limitRate(app, edge)
  app.setErrorHandler((error, request, reply) =>
    sendProblem(limits.afterFailure(error, request, reply), request, reply),
  )
  restrictBodies(app)
  app.addHook('onRoute', checkConsumes)
  keepRouteTable(app)
  registerHealth(app, options.ready)
  return app
}

/** Nothing from elsewhere; no upgrade of requests, because the server may be reached over plain HTTP on loopback. */
const contentSecurityPolicy = {
  'default-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'font-src': ["'self'", 'data:'],
  'style-src': ["'self'", "'unsafe-inline'"],
  'frame-ancestors': ["'none'"],
  'upgrade-insecure-requests': null,
}

/** What helmet sets is the same for every answer here, and asking it each time would cost a tenth of a request. */
async function securityHeaders(): Promise<Record<string, string>> {
  const asked = Fastify()
  const frames = { xFrameOptions: { action: 'deny' as const } }
  await asked.register(helmet, { contentSecurityPolicy: { directives: contentSecurityPolicy }, ...frames })
  const { headers } = await asked.get('/', async () => '').inject('/')
  await asked.close()
  const own = Object.entries(headers).filter(([name]) => !ownHeaders.has(name))
  // An answer is for who asked with a key, and nobody's cache.
  return { ...Object.fromEntries(own.map(([name, value]) => [name, String(value)])), 'cache-control': 'no-store' }
}
/** Of the answer itself, not of helmet. */
const ownHeaders = new Set(['content-type', 'content-length', 'date', 'connection', 'keep-alive'])

function newServer(options: HttpServerOptions, trustProxy: TrustProxy): FastifyInstance {
  const { log, bodyLimit, ids = systemIds, refused = () => undefined } = options
  const timeouts = { ...TIMEOUTS, ...options.timeouts }
  // The logger's own type would make every plugin signature generic; the base logger is all that is used here.
  return Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'correlationId' }),
    requestIdHeader: false,
    genReqId: request => correlationId(request.headers['x-correlation-id'], ids),
    ...(trustProxy && { trustProxy }),
    bodyLimit: bodyLimit ?? 1_048_576,
    // Also for who asks and then does not read.
    connectionTimeout: timeouts.stillMs,
    requestTimeout: timeouts.requestMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: { headersTimeout: timeouts.headersMs, connectionsCheckingInterval: timeouts.headersMs / 5 },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    routerOptions: { maxParamLength: 200 },
    clientErrorHandler: (error, socket) => sendClientError(error, socket, tellBadRequest(refused, ids)),
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply)
      // A URL that cannot be read: no hook hears of it.
      tellRefusal(request, refused)
    },
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

function registerHealth(app: FastifyInstance, ready: HttpServerOptions['ready']): void {
  const config = { public: true, quiet: true, unlimited: true } as const
  const look = sharedReadiness(ready)
  app.get('/health/live', { config }, async () => ({ live: true }))
  app.get('/health/ready', { config }, async (_request, reply) => {
    const state = await look()
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
