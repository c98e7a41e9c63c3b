import type { z } from 'zod'
import type { ProblemCode } from '../../schemas/problems.ts'

export type ApiAnswer = {
  description: string
  schema?: z.ZodType
  example?: unknown
  /** Default application/json. */
  contentType?: string
}

/** One route of the API description (OpenAPI 3.1), declared beside the route in its `config.api`. */
export type ApiOperation = {
  /** Unique over the whole API. */
  operationId: string
  tag: string
  summary: string
  description?: string
  /** Path parameters: one key per parameter. */
  params?: z.ZodObject
  query?: z.ZodObject
  headers?: z.ZodObject
  body?: { schema?: z.ZodType; example?: unknown; contentType?: string }
  /** By status. */
  answers: Record<number, ApiAnswer>
  /** Beside those that every route may answer with (unauthenticated, forbidden, rate-limited, internal …). */
  problems?: readonly ProblemCode[]
}

/** An operation with where it lives, as collected from the registered routes. */
export type DescribedRoute = {
  method: string
  url: string
  public: boolean
  permission: string | undefined
  operation: ApiOperation
}
