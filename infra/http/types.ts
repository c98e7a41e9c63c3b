import type { FastifyInstance, FastifyReply, FastifyRequest, LightMyRequestResponse } from 'fastify'
import type { Holder } from '../access.ts'
import type { ApiOperation } from './api-operation.ts'

export type HttpServer = FastifyInstance
export type Request = FastifyRequest
export type Reply = FastifyReply
/** What `http.inject` answers with: a request without a socket, for specs. */
export type HttpAnswer = LightMyRequestResponse

export type { Holder } from '../access.ts'
/**
 * `digestKey` follows from the presented key and from nothing that is stored: a digest made with it pins what was sent
 * without letting anybody try out guesses on the digest.
 */
export type Principal = Holder & { digestKey(): Buffer }

export type BodyType = 'application/json' | 'application/x-ndjson' | 'application/octet-stream' | 'none'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the principal must be permitted to do. Every route declares this or `public: true`. */
    permission?: string
    /** Reachable without a key: health answers, the API description. */
    public?: true
    /** The one content type a POST, PUT or PATCH takes. Default application/json. */
    consumes?: BodyType
    /** Leaves the route out of the request log: what is asked for again and again. */
    quiet?: true
    /** Asked by whoever watches over it, however often: costs next to nothing. */
    unlimited?: true
    /** How the route appears in the API description; a route without it does not appear. */
    api?: ApiOperation
  }
  interface FastifyRequest {
    /** Undefined only on public routes. */
    principal: Principal | undefined
  }
}
