import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ZodError, type z } from 'zod'
import { type Problem, ProblemError, problem } from '../../schemas/problems.ts'
import { isLong } from './long-bodies.ts'
import { keepRefusal } from './refused.ts'

const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** Of a path or a message: a body may be one long key. */
const MOST_CHARACTERS = 500

/** What a schema refused, as paths and messages; a value is never repeated. */
export function invalidInput(error: ZodError): ProblemError {
  const errors = error.issues.slice(0, 50).map(issue => ({
    path: issue.path.map(String).join('.').slice(0, MOST_CHARACTERS),
    message: issue.message.slice(0, MOST_CHARACTERS),
  }))
  return new ProblemError('invalid-input', undefined, errors)
}

/** Parses what came from outside. @throws ProblemError invalid-input with the paths that do not fit. */
export function parseInput<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw invalidInput(parsed.error)
  return parsed.data
}

/** The answer an error stands for. Anything unknown is `internal`, and says nothing about itself. */
export function toProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return problem(error.code, error.detail, error.errors)
  if (error instanceof ZodError) return toProblem(invalidInput(error))
  switch (frameworkCode(error)) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return problem('body-too-large')
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return problem('unsupported-media-type')
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
    case 'FST_ERR_ASYNC_CONSTRAINT':
    case 'ECONNRESET':
      return problem('bad-request')
    default:
      return problem('internal')
  }
}

function frameworkCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Sends an error as problem details (RFC 9457); a 5xx is logged here and nowhere else. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const body = toProblem(error)
  keepRefusal(request, body, error)
  if (body.status >= 500) request.log.error({ err: error }, 'request failed')
  if (body.status === 401) reply.header('www-authenticate', 'Bearer realm="opsconductor"')
  return reply
    .code(body.status)
    .header('content-type', PROBLEM_TYPE)
    .send(JSON.stringify({ ...body, correlationId: request.id }))
}

/** Answers a request that never became one: bad HTTP, headers too large or too slow. */
export function sendClientError(
  error: NodeJS.ErrnoException,
  socket: Socket,
  tell: (problem: Problem, socket: Socket) => void,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && isLong(socket)) return
  const body = problem(clientProblem(error.code))
  tell(body, socket)
  const text = JSON.stringify(body)
  socket.end(
    `HTTP/1.1 ${body.status} ${body.title}\r\nContent-Type: ${PROBLEM_TYPE}\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  )
}

function clientProblem(code: string | undefined) {
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers-too-large'
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'request-timeout' : 'bad-request'
}
