import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { ProblemError } from '../../schemas/problems.ts'
import type { DescribedRoute } from './api-operation.ts'
import { rawValues } from './bodies.ts'
import { refusing } from './check.ts'

type Entry = { pattern: RegExp; methods: Set<string> }
const described = new WeakMap<FastifyInstance, DescribedRoute[]>()

/** Remembers every route: for 405 with `Allow`, and for the API description. */
export function keepRouteTable(app: FastifyInstance): void {
  const entries = new Map<string, Entry>()
  const routes: DescribedRoute[] = []
  described.set(app, routes)
  app.addHook('onRoute', route => {
    remember(entries, route)
    describe(routes, route)
  })
  // In a hook and not in a handler, so that no body is read for nothing.
  const check = (request: FastifyRequest, reply: FastifyReply) => {
    // No id, name or text has a NUL in it; databases end at it or choke on it.
    if (request.url.includes('%00')) throw new ProblemError('bad-request')
    // RFC 9112 section 3.2: what is before this server may have gone by the other one.
    if (rawValues(request, 'host').length > 1) throw new ProblemError('bad-request')
    if (!request.is404) return
    const [path = ''] = request.url.split('?', 1)
    const allowed = [...entries.values()].filter(e => e.pattern.test(path)).flatMap(e => [...e.methods])
    if (allowed.length === 0) throw new ProblemError('not-found')
    reply.header('allow', [...new Set(allowed)].join(', '))
    throw new ProblemError('method-not-allowed')
  }
  app.addHook('onRequest', refusing(check))
}

/** The routes that describe themselves (`config.api`), in the order of registration. */
export function describedRoutes(app: FastifyInstance): readonly DescribedRoute[] {
  return described.get(app) ?? []
}

function remember(entries: Map<string, Entry>, route: RouteOptions): void {
  const entry = entries.get(route.url) ?? { pattern: patternOf(route.url), methods: new Set() }
  for (const method of [route.method].flat()) entry.methods.add(method)
  entries.set(route.url, entry)
}

function patternOf(url: string): RegExp {
  const parts = url.split('/').map(part => {
    if (part === '*') return '.*'
    return part.startsWith(':') ? '[^/]+' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  })
  return new RegExp(`^${parts.join('/')}$`)
}

function describe(routes: DescribedRoute[], route: RouteOptions): void {
  const { api: operation, permission, public: open } = route.config ?? {}
  if (!operation) return
  for (const method of [route.method].flat()) {
    // Fastify answers HEAD beside every GET; it would only repeat the operation.
    if (method !== 'HEAD') routes.push({ method, url: route.url, public: open === true, permission, operation })
  }
}
