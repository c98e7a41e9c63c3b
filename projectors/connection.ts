import type { Log } from '../infra/log.ts'
import { createPipelined, type Pipelined } from '../infra/postgres.ts'

/**
 * A projector's connection. It does not wait for the disk: rows and checkpoint are in one transaction, so what a crash
 * takes away is projected again. Rows are looked up by key, a few of many: a join that reads the whole table would make
 * a batch slower with every row there is, and the planner chooses it for tables of which it has no statistics yet.
 */
export function projectorConnection(url: string, log: Log, schema: string): Pipelined {
  const setup = [
    `set search_path = ${schema}`,
    'set synchronous_commit = off',
    `set timezone = 'UTC'`,
    'set enable_hashjoin = off',
    'set enable_mergejoin = off',
    'set enable_seqscan = off',
  ]
  return createPipelined(url, log, { name: 'opsconductor projector', setup: setup.join('; ') })
}
