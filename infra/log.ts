import { type Logger, pino } from 'pino'

export type Log = Logger

/**
 * JSON lines on stdout. Fields in use: role, commandId, correlationId, stream, runId, targetId, err.
 * Never step output, never secrets: known secret-bearing fields are cut out as a second line of defence.
 */
export function createLog(role: string, level: string): Log {
  return pino({
    level,
    base: { role },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: ['authorization', 'headers.authorization', 'secret', '*.secret', 'password', '*.password', '*.privateKey'],
      censor: '[secret]',
    },
  })
}
