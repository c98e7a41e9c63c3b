import { statfsSync } from 'node:fs'
import { DiskFull } from './errors.ts'
import type { StreamHead } from './state.ts'
import type { StreamRow, Tables } from './tables.ts'

/** One event on its way to disk. A tombstone has no revision of its own and is not indexed. */
export type StagedEvent = { head: StreamHead; revision: number; position: number; sealed: Buffer; indexed: boolean }

/** Everything that goes to disk, or fails, together. */
export type Batch = { events: StagedEvent[]; rows: Map<string, StreamRow>; end: number }

export const emptyBatch = (end: number): Batch => ({ events: [], rows: new Map(), end })

// lmdb errors carry the number: ENOSPC, EDQUOT, MDB_MAP_FULL; and EIO for a write that was cut short.
const NO_SPACE_CODES = new Set<unknown>([28, 122, -30792])
const SHORT_WRITE_CODE = 5
const NEARLY_FULL_BYTES = 16 * 2 ** 20

/** Writes a batch in one transaction; resolves once it is on disk. Throws DiskFull, or the I/O error. */
export async function commit(tables: Tables, batch: Batch): Promise<void> {
  try {
    await tables.env.batch(() => {
      for (const [name, row] of batch.rows) tables.streams.put(name, row)
      for (const event of batch.events) {
        tables.events.put(event.position, event.sealed)
        if (event.indexed) tables.index.put([event.head.number, event.revision], event.position)
      }
    })
  } catch (error) {
    const cause = await commitCause(error)
    throw isDiskFull(cause, tables) ? new DiskFull('the disk that holds the event store is full') : cause
  }
}

// lmdb rejects with a general error whose `commitError` is a promise that rejects with the real one.
async function commitCause(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error
  try {
    await error.commitError
    return error
  } catch (cause) {
    return cause
  }
}

// lmdb reports a write cut short by a full disk as EIO, so that case is decided by the space that is left.
function isDiskFull(cause: unknown, tables: Tables): boolean {
  if (!(cause instanceof Error) || !('code' in cause)) return false
  if (NO_SPACE_CODES.has(cause.code)) return true
  return cause.code === SHORT_WRITE_CODE && freeBytes(tables.dataDir) < NEARLY_FULL_BYTES
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}
