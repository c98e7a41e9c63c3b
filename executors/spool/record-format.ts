import { crc32 } from 'node:zlib'

/** Length of the payload (4 bytes), how much of the file was durable when this was written (6), CRC-32 (4). */
export const HEADER_BYTES = 14
const CHECKED_BYTES = 10
const LARGEST_PAYLOAD = 4 * 1024 * 1024

/** One record as it lies in the file. The CRC-32 is over the first ten bytes and the payload; little endian. */
export function encodeRecord(payload: Uint8Array, durableUpTo: number): Buffer {
  if (payload.length === 0 || payload.length > LARGEST_PAYLOAD)
    throw new RangeError('a record of that size is not kept')
  const record = Buffer.allocUnsafe(HEADER_BYTES + payload.length)
  record.writeUInt32LE(payload.length, 0)
  record.writeUIntLE(durableUpTo, 4, 6)
  record.set(payload, HEADER_BYTES)
  record.writeUInt32LE(checksum(record), CHECKED_BYTES)
  return record
}

/** Where a payload lies in its file. */
export type RecordRef = { offset: number; length: number }
export type Scan = {
  records: RecordRef[]
  /** Where the next record goes: what lies behind it was never promised to anybody. */
  end: number
  /** Set when bytes that once were durable can no longer be read: where the damage begins. */
  damagedAt?: number
}

/**
 * Finds the records of a file. A last write that a crash cut short is not damage: nothing behind it says that it was
 * durable. Anything else unreadable is.
 */
export function scanRecords(file: Buffer): Scan {
  const records: RecordRef[] = []
  let at = 0
  for (let next = recordAt(file, at); next !== undefined; next = recordAt(file, at)) {
    records.push({ offset: at + HEADER_BYTES, length: next.length })
    at += HEADER_BYTES + next.length
  }
  const damaged = at < file.length && durabilityClaimedBehind(file, at)
  return { records, end: at, ...(damaged ? { damagedAt: at } : {}) }
}

function durabilityClaimedBehind(file: Buffer, at: number): boolean {
  for (let offset = at + 1; offset + HEADER_BYTES < file.length; offset += 1) {
    const record = recordAt(file, offset)
    if (record && record.durableUpTo > at && record.durableUpTo <= offset) return true
  }
  return false
}

function recordAt(file: Buffer, at: number): { length: number; durableUpTo: number } | undefined {
  if (at + HEADER_BYTES >= file.length) return undefined
  const length = file.readUInt32LE(at)
  const end = at + HEADER_BYTES + length
  if (length === 0 || length > LARGEST_PAYLOAD || end > file.length) return undefined
  const record = file.subarray(at, end)
  if (checksum(record) !== record.readUInt32LE(CHECKED_BYTES)) return undefined
  return { length, durableUpTo: record.readUIntLE(4, 6) }
}

const checksum = (record: Buffer): number =>
  crc32(record.subarray(HEADER_BYTES), crc32(record.subarray(0, CHECKED_BYTES)))
