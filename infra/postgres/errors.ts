import pg from 'pg'

/** Postgres cannot be reached, is shutting down or has no connection left: the same work may succeed later. */
export class PostgresUnavailable extends Error {
  override name = 'PostgresUnavailable'
}

/** SQLSTATE classes and codes that say nothing about the statement itself (PostgreSQL manual, appendix A). */
const transient = /^(08|53|57P|25006|40001|40P01|55P03)/
const socketErrors = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'])
const lostConnection = /connection terminated|connection timeout|timeout exceeded when trying to connect|not queryable/i

/**
 * True when the failure lies with the connection or the server and not with the statement, so that repeating the
 * same transaction makes sense. False means a bug or bad data.
 */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof PostgresUnavailable) return true
  if (error instanceof AggregateError) return error.errors.some(isUnavailable)
  if (!(error instanceof Error)) return false
  if (error instanceof pg.DatabaseError) return transient.test(error.code ?? '')
  const code = 'code' in error ? String(error.code) : ''
  return socketErrors.has(code) || lostConnection.test(error.message)
}
