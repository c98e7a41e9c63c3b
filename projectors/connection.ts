import type { Log } from '../infra/log.ts'
import { createPipelined, type Pipelined } from '../infra/postgres.ts'

/**
 * A projector's connection. It does not wait for the disk: rows and checkpoint are in one transaction, so what a crash
 * takes away is projected again.
 */
export function projectorConnection(url: string, log: Log, schema: string): Pipelined {
  const setup = `set search_path = ${schema}; set synchronous_commit = off; set timezone = 'UTC'`
  return createPipelined(url, log, { name: 'opsconductor projector', setup })
}
