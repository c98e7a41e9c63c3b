import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ProblemError } from '../../schemas/problems.ts'
import { addressKey } from '../address-ranges.ts'
import { refusing } from './check.ts'
import type { EdgeOptions } from './edge-options.ts'
import { clientAddress } from './proxies.ts'
import { type Allowance, TokenBuckets } from './token-buckets.ts'

/** A quota is ten seconds of the rate: short bursts are nobody's concern. */
const WINDOW_S = 10

export type RateLimits = {
  /** What to answer instead of this error: a request without a principal that fails counts for its address. */
  afterFailure(error: unknown, request: FastifyRequest, reply: FastifyReply): unknown
}
type Policy = { name: string; text: string; buckets: TokenBuckets }

/**
 * Requests of a principal count for that principal and for nobody else: who shares an address with an attacker is not
 * slowed by it. Requests to public routes, and those that fail without a valid key, count for their address. Answers say
 * how much is left in `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers, version 10).
 */
export function limitRate(app: FastifyInstance, { rateLimit, addressRateLimit }: EdgeOptions): RateLimits {
  const principals = policy('principal', rateLimit)
  const addresses = policy('address', addressRateLimit)
  const check = (request: FastifyRequest, reply: FastifyReply) => {
    const { config } = request.routeOptions
    if (config.unlimited || request.is404) return
    if (request.principal) charge(principals, keyOf(request.principal.actor), reply)
    else if (config.public) charge(addresses, addressKey(clientAddress(request)), reply)
  }
  app.addHook('onRequest', refusing(check))
  return {
    afterFailure(error, request, reply) {
      const { config } = request.routeOptions
      // A public route has been counted already.
      if (request.principal || config.public) return error
      try {
        charge(addresses, addressKey(clientAddress(request)), reply)
        return error
      } catch (limited) {
        return limited
      }
    },
  }
}

const keyOf = ({ kind, id }: { kind: string; id: string }): string => `${kind}:${id}`

function policy(name: string, perSecond: number): Policy | undefined {
  if (perSecond === 0) return undefined
  const capacity = perSecond * WINDOW_S
  const text = `"${name}";q=${capacity};w=${WINDOW_S}`
  return { name, text, buckets: new TokenBuckets({ perSecond, capacity }) }
}

/** @throws ProblemError rate-limited. */
function charge(limit: Policy | undefined, who: string, reply: FastifyReply): void {
  if (!limit) return
  const { taken, left, seconds }: Allowance = limit.buckets.take(who, performance.now())
  reply.header('ratelimit-policy', limit.text).header('ratelimit', `"${limit.name}";r=${left};t=${seconds}`)
  if (taken) return
  reply.header('retry-after', String(seconds))
  throw new ProblemError('rate-limited')
}
