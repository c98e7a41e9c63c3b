import type { Problem } from '../schemas/problems.ts'

/** What the shell sees: 0 ok, 1 failed, 2 usage, 3 not allowed, 4 not found, 5 conflict or a person is needed, 124 timeout, 130 interrupted. */
export const exitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  auth: 3,
  notFound: 4,
  conflict: 5,
  timeout: 124,
  interrupted: 130,
}

/** The command line itself is wrong. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** A name that nothing carries. */
export class NotFound extends Error {
  override name = 'NotFound'
}

/** The API cannot be reached. */
export class Unreachable extends Error {
  override name = 'Unreachable'
}

/** What was waited for did not come. */
export class TimedOut extends Error {
  override name = 'TimedOut'
}

/** Whoever was asked for something left instead. */
export class Interrupted extends Error {
  override name = 'Interrupted'
}

/** The API answered with a problem (RFC 9457). */
export class ApiProblem extends Error {
  override name = 'ApiProblem'
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.detail ?? problem.title)
    this.problem = problem
  }
}

function exitCodeOf({ status, errors }: Problem): number {
  // What is told path by path is wrong in the request itself.
  if (errors !== undefined && errors.length > 0) return exitCode.usage
  if (status === 401 || status === 403) return exitCode.auth
  if (status === 404) return exitCode.notFound
  if (status === 409 || status === 412 || status === 422) return exitCode.conflict
  if (status === 400 || status === 413 || status === 415) return exitCode.usage
  return exitCode.failed
}

const hints: Partial<Record<number, string>> = {
  401: 'Sign in with `opsconductor login`, or set OPSCONDUCTOR_API_KEY to the key that was shown at first start, or make another one on the server with `opsconductor admin-key create`.',
  503: 'The system is up but a part of it is not; `opsconductor status` says which. Try again in a moment.',
}

const hintsByCode: Readonly<Record<string, string>> = {
  'justification-needed': 'Say it again with --justification "<why>".',
  'sod-conflict':
    '`opsconductor sod rules` shows the rule; somebody else may do it, or waive it: `opsconductor sod waive`.',
}

/** Says on stderr what went wrong and what to do next; answers the exit code. */
export function explain(error: unknown): number {
  if (error instanceof ApiProblem) {
    const { type, title, detail, errors, status } = error.problem
    console.error(`error: ${title}${detail ? `: ${detail}` : ''}`)
    for (const { path, message } of errors ?? []) console.error(`  ${path || 'body'}: ${message}`)
    const hint = hintsByCode[type.slice(type.lastIndexOf(':') + 1)] ?? hints[status]
    if (hint) console.error(hint)
    return exitCodeOf(error.problem)
  }
  if (error instanceof Interrupted) return exitCode.interrupted
  if (
    error instanceof UsageError ||
    error instanceof NotFound ||
    error instanceof Unreachable ||
    error instanceof TimedOut
  ) {
    console.error(`error: ${error.message}`)
    if (error instanceof TimedOut) return exitCode.timeout
    if (error instanceof NotFound) return exitCode.notFound
    return error instanceof UsageError ? exitCode.usage : exitCode.failed
  }
  throw error
}
