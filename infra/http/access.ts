import { createHmac } from 'node:crypto'
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import { ProblemError } from '../../schemas/problems.ts'
import { administratorHolder } from '../access.ts'
import type { ApiKeyHolder } from '../api-keys.ts'
import type { Holder } from './types.ts'

/** Turns what was presented into a principal; undefined refuses it. `request`: what it was presented with. */
export type Authenticate = (
  key: string,
  request: { method: string },
) => Holder | undefined | Promise<Holder | undefined>

/**
 * Principals from the API key file, by which a system is set up and got back into: a key that checks out belongs to an
 * administrator and permits everything, for as long as it checks out.
 */
export function administratorKeys(
  check: (key: string) => ApiKeyHolder | undefined,
): (key: string) => Holder | undefined {
  return key => {
    const holder = check(key)
    if (!holder) return undefined
    const actor = { kind: 'api-key' as const, id: holder.id, roles: ['administrator'] }
    return administratorHolder(actor, holder.stillValid)
  }
}

/** Denies by default: no key, no entry; no declared permission, no route. */
export function guardAccess(app: FastifyInstance, authenticate: Authenticate): void {
  app.decorateRequest('principal', undefined)
  app.addHook('onRoute', checkDeclared)
  const admit = (request: FastifyRequest, key: string | undefined, holder: Holder | undefined) => {
    if (!holder || key === undefined) throw new ProblemError('unauthenticated')
    // Known also when it is refused: the log line and the record of the refusal name it.
    request.principal = { ...holder, digestKey: () => digestKey(holder.digestSecret ?? key) }
    const { permission } = request.routeOptions.config
    if (permission === undefined || !holder.permits(permission)) throw new ProblemError('forbidden')
  }
  // No promise where none is needed: each would cost every request a few microseconds.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.is404 || request.routeOptions.config.public) return done()
    const key = presentedKey(request)
    const admitted = (holder: Holder | undefined) => {
      let refusal: Error | undefined
      try {
        admit(request, key, holder)
      } catch (error) {
        refusal = error as Error
      }
      // Outside of the try: everything that follows happens in this call.
      done(refusal)
    }
    const holder = key === undefined ? undefined : authenticate(key, request)
    if (holder instanceof Promise) holder.then(admitted, done)
    else admitted(holder)
  })
}

const digestKey = (apiKey: string): Buffer => createHmac('sha256', apiKey).update('opsconductor body digest').digest()

function checkDeclared(route: RouteOptions): void {
  const { permission, public: open } = route.config ?? {}
  if ((permission === undefined) === (open === undefined))
    throw new Error(`${route.method} ${route.url} must declare either a permission or public: true`)
}

function presentedKey(request: FastifyRequest): string | undefined {
  const bearer = /^Bearer ([\x21-\x7e]{1,4000})$/i.exec(request.headers.authorization ?? '')?.[1]
  if (bearer !== undefined) return bearer
  const header = request.headers['x-api-key']
  return typeof header === 'string' ? header : undefined
}
