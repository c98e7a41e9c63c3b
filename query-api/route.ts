import { z } from 'zod'
import {
  type ApiAnswer,
  type Holder,
  type HttpServer,
  ProblemError,
  parseInput,
  type Reply,
  type Request,
} from '../infra/http/index.ts'
import type { LogPosition } from '../schemas/events.ts'
import { formatPosition, parsePosition, positionText } from '../schemas/position.ts'
import type { ProblemCode } from '../schemas/problems.ts'
import { NotYet, type ProjectionName, type Query, type Reader, type Waiting } from './reader.ts'

const DEFAULT_WAIT_MS = 2_000
const MAX_WAIT_S = 10

/** Given with every query: see what a command has written by handing back the position it answered. */
export const minPosition = positionText
  .optional()
  .describe('Answer only once the read models have reached this position; waits up to 2 s, else answers 202')

/** A question with who asks it: what it is answered with holds nothing that they may not see. */
export type Asked<P extends z.ZodObject, Q extends z.ZodObject> = {
  params: z.output<P>
  query: z.output<Q>
  db: Query
  holder: Holder
}
export type Answered = { body: unknown /** For If-Match on a command. */; revision?: string }
export type ReadRoute<P extends z.ZodObject, Q extends z.ZodObject> = {
  url: string
  operationId: string
  tag: string
  summary: string
  description?: string
  permission: string
  projection: ProjectionName
  params: P
  query: Q
  answer: ApiAnswer
  problems?: readonly ProblemCode[]
  handle(input: Asked<P, Q>): Promise<Answered>
}

/** A route that reads the read models: checked input, wanted position, position of the answer. */
export function registerRead<P extends z.ZodObject, Q extends z.ZodObject>(
  http: HttpServer,
  reader: Reader,
  route: ReadRoute<P, Q>,
): void {
  const { url, permission, projection, handle, params, query, answer, ...described } = route
  const accepted = query.extend({ minPosition })
  const api = { ...described, params, query: accepted, answers: { 200: answer, 202: notYetAnswer } }
  http.get(url, { config: { permission, api } }, async (request, reply) => {
    const input = { params: parseInput(params, request.params), query: parseInput(accepted, request.query) }
    const waiting = wanted(request, input.query)
    // What a schema parses holds at least what the schema it extends does.
    const given = input as { params: z.output<P>; query: z.output<Q> }
    const holder = holderOf(request)
    const read = await reader.read(projection, waiting, db => handle({ ...given, db, holder }))
    reply.header('x-position', positionHeader(read.position))
    if (read instanceof NotYet) return notYet(reply, read)
    if (read.result.revision !== undefined) reply.header('etag', `"${read.result.revision}"`)
    return read.result.body
  })
}

/** Who asks. @throws ProblemError on a route without a permission. */
export function holderOf({ principal }: Request): Holder {
  if (!principal) throw new ProblemError('unauthenticated')
  return principal
}

const notYetAnswer: ApiAnswer = {
  description: 'The read models have not reached the wanted position; ask again',
  schema: z.object({ position: z.string() }),
  example: { position: '4711' },
}

/** What has to be reached first: `minPosition`, and an `asOf` that names a position. `Prefer: wait=N` (RFC 7240). */
function wanted(request: Request, query: { minPosition?: unknown; asOf?: unknown }): Waiting | undefined {
  const texts = [query.minPosition, typeof query.asOf === 'string' ? /^@(.+)$/.exec(query.asOf)?.[1] : undefined]
  const positions = texts.filter(text => typeof text === 'string').map(parsePosition)
  const [first, second] = positions
  if (!first) return undefined
  const atLeast = second && second.commit > first.commit ? second : first
  return { atLeast, waitMs: waitMs(request) }
}

export function waitMs(request: Request): number {
  const prefer = request.headers.prefer
  const seconds = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,5})/.exec(typeof prefer === 'string' ? prefer : '')?.[1]
  return seconds === undefined ? DEFAULT_WAIT_MS : Math.min(Number(seconds), MAX_WAIT_S) * 1_000
}

/** Nothing has been projected yet while the position is negative. */
export const positionHeader = (position: LogPosition): string =>
  position.commit < 0n ? '-1' : formatPosition(position)

function notYet(reply: Reply, { position }: NotYet): { position: string } {
  reply.code(202).header('retry-after', '1')
  return { position: positionHeader(position) }
}

/** @throws ProblemError when there is no row. */
export function found<Row>(rows: readonly Row[], code: ProblemCode): Row {
  const [row] = rows
  if (row === undefined) throw new ProblemError(code)
  return row
}
