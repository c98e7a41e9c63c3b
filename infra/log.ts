import { writeSync } from 'node:fs'
import { type Logger, pino } from 'pino'

export type Log = Logger

/**
 * JSON lines on stdout. Fields in use: role, commandId, correlationId, stream, runId, targetId, err.
 * Never step output, never secrets: known secret-bearing fields are cut out as a second line of defence.
 */
export function createLog(role: string, level: string): Log {
  const options = {
    level,
    base: { role },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: ['authorization', 'headers.authorization', 'secret', '*.secret', 'password', '*.password', '*.privateKey'],
      censor: '[secret]',
    },
  }
  return pino(options, { write: writeLine })
}

const pause = new Int32Array(new SharedArrayBuffer(4))

// pino's own destination waits for ever when the reader of a pipe is gone, and a role whose supervisor was killed
// would stay for ever with it. A full pipe is waited for; a broken one has nobody left to tell.
function writeLine(line: string): void {
  let rest: Buffer = Buffer.from(line)
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(process.stdout.fd, rest))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) return
      Atomics.wait(pause, 0, 0, 5)
    }
  }
}
