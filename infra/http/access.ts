import { createHmac } from 'node:crypto'
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import { ProblemError } from '../../schemas/problems.ts'
import { administratorHolder } from '../access.ts'
import type { ApiKeyHolder } from '../api-keys.ts'
import { refusing } from './check.ts'
import type { Holder } from './types.ts'

export type Authenticate = (key: string) => Holder | undefined

/**
 * Principals from the API key file, by which a system is set up and got back into: a key that checks out belongs to an
 * administrator and permits everything, for as long as it checks out.
 */
export function administratorKeys(check: (key: string) => ApiKeyHolder | undefined): Authenticate {
  return key => {
    const holder = check(key)
    if (!holder) return undefined
    const actor = { kind: 'api-key' as const, id: holder.id, roles: ['administrator'] }
    return administratorHolder(actor, () => check(key) !== undefined)
  }
}

/** Denies by default: no key, no entry; no declared permission, no route. */
export function guardAccess(app: FastifyInstance, authenticate: Authenticate): void {
  app.decorateRequest('principal', undefined)
  app.addHook('onRoute', checkDeclared)
  const check = (request: FastifyRequest) => {
    const { config } = request.routeOptions
    if (request.is404 || config.public) return
    const key = presentedKey(request)
    const holder = key === undefined ? undefined : authenticate(key)
    if (!holder || key === undefined) throw new ProblemError('unauthenticated')
    // Known also when it is refused: the log line and the record of the refusal name it.
    request.principal = { ...holder, digestKey: () => digestKey(key) }
    if (config.permission === undefined || !holder.permits(config.permission)) throw new ProblemError('forbidden')
  }
  app.addHook('onRequest', refusing(check))
}

const digestKey = (apiKey: string): Buffer => createHmac('sha256', apiKey).update('opsconductor body digest').digest()

function checkDeclared(route: RouteOptions): void {
  const { permission, public: open } = route.config ?? {}
  if ((permission === undefined) === (open === undefined))
    throw new Error(`${route.method} ${route.url} must declare either a permission or public: true`)
}

function presentedKey(request: FastifyRequest): string | undefined {
  const bearer = /^Bearer ([\x21-\x7e]{1,200})$/i.exec(request.headers.authorization ?? '')?.[1]
  if (bearer !== undefined) return bearer
  const header = request.headers['x-api-key']
  return typeof header === 'string' ? header : undefined
}
