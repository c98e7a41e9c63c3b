import { crc32 } from 'node:zlib'
import { type Database, open, type RootDatabase } from 'lmdb'
import { DamagedStore } from './errors.ts'

/** What is known of a stream besides its events. `number` keys the index; `tombstone` is the position of its tombstone. */
export type StreamRow = { number: number; tombstone?: number }

/**
 * The whole store: `events` maps a position to a sealed RecordedEvent, `index` maps [stream number, revision] to a
 * position, `streams` maps a name to its row. An event's position is the sum of the sealed lengths before it, so a
 * missing event shows as a gap.
 */
export type Tables = {
  dataDir: string
  env: RootDatabase
  events: Database<Buffer, number>
  index: Database<number, [number, number]>
  streams: Database<StreamRow, string>
}

const MAP_SIZE = 256 * 2 ** 30
const SEAL_LENGTH = 4

/** File that holds the data, inside the data folder. */
export const DATA_FILE = 'data.mdb'

/**
 * Opens the tables. `overlappingSync` is off so that a commit resolves only after its pages and its meta page are on
 * disk, and so that a failed sync rejects the commit; batching by event turn is off because a batch of its own makes a
 * promise that nobody can catch when a commit fails.
 */
export function openTables(dataDir: string, options: { readOnly: boolean }): Tables {
  const env = open<unknown, string>({
    path: dataDir,
    noSubdir: false,
    mapSize: MAP_SIZE,
    maxDbs: 4,
    overlappingSync: false,
    eventTurnBatching: false,
    readOnly: options.readOnly,
  })
  return {
    dataDir,
    env,
    events: env.openDB<Buffer, number>({ name: 'events', encoding: 'binary' }),
    index: env.openDB<number, [number, number]>({ name: 'index', encoding: 'ordered-binary' }),
    streams: env.openDB<StreamRow, string>({ name: 'streams', encoding: 'json' }),
  }
}

/** The row of a stream. Throws DamagedStore when it does not read as one. */
export function streamRow(tables: Tables, name: string): StreamRow | undefined {
  const row = readRow(tables, name)
  const isRow = row === undefined || (isCount(row.number) && (row.tombstone === undefined || isCount(row.tombstone)))
  if (!isRow) throw new DamagedStore(`the row of stream ${name} is not one`)
  return row
}

function readRow(tables: Tables, name: string): StreamRow | undefined {
  try {
    return tables.streams.get(name)
  } catch {
    throw new DamagedStore(`the row of stream ${name} cannot be read`)
  }
}

const isCount = (value: unknown) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

/** Prefixes the bytes of an event with their CRC-32. */
export function seal(wire: Buffer): Buffer {
  const sealed = Buffer.allocUnsafe(SEAL_LENGTH + wire.length)
  sealed.writeUInt32LE(crc32(wire), 0)
  wire.copy(sealed, SEAL_LENGTH)
  return sealed
}

/** The wire bytes behind a seal. Throws DamagedStore when they changed since they were written. */
export function unseal(sealed: Buffer, position: number): Buffer {
  const wire = sealed.subarray(SEAL_LENGTH)
  if (sealed.length <= SEAL_LENGTH || crc32(wire) !== sealed.readUInt32LE(0)) {
    throw new DamagedStore(`the event at position ${position} fails its checksum`)
  }
  return wire
}
