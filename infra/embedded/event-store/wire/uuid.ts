import {
  type Cursor,
  fieldLength,
  MalformedMessage,
  readBytes,
  readVarint,
  skipField,
  type Writer,
} from './protobuf.ts'

const CANONICAL = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const UUID_TEXT_LENGTH = 36

/** Encoded size of `event_store.client.UUID` in its string form. */
export const UUID_LENGTH = fieldLength(UUID_TEXT_LENGTH)

/** Decodes `event_store.client.UUID` (string or structured) to lower-case canonical text. */
export function readUuid(bytes: Buffer): string {
  const cursor: Cursor = { at: 0 }
  while (cursor.at < bytes.length) {
    const tag = readVarint(bytes, cursor)
    if (tag === 0x12) return canonical(readBytes(bytes, cursor).toString('latin1'))
    if (tag === 0x0a) return structured(readBytes(bytes, cursor))
    skipField(bytes, cursor, tag & 7)
  }
  throw new MalformedMessage('a UUID is missing')
}

/** Writes a UUID in its string form as the given field. */
export function writeUuid(writer: Writer, field: number, id: string): void {
  writer.open(field, UUID_LENGTH).textField(2, id, UUID_TEXT_LENGTH)
}

function canonical(text: string): string {
  const id = text.toLowerCase()
  if (!CANONICAL.test(id)) throw new MalformedMessage('an event or correlation id is not a UUID')
  return id
}

// Structured: two int64 halves, most significant first; negative values arrive as ten-byte varints.
function structured(bytes: Buffer): string {
  const cursor: Cursor = { at: 0 }
  const halves: [bigint, bigint] = [0n, 0n]
  while (cursor.at < bytes.length) {
    const tag = readVarint(bytes, cursor)
    if (tag === 0x08) halves[0] = readInt64(bytes, cursor)
    else if (tag === 0x10) halves[1] = readInt64(bytes, cursor)
    else skipField(bytes, cursor, tag & 7)
  }
  const hex = halves.map(half => BigInt.asUintN(64, half).toString(16).padStart(16, '0')).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

function readInt64(bytes: Buffer, cursor: Cursor): bigint {
  let value = 0n
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = bytes[cursor.at++]
    if (byte === undefined) break
    value |= BigInt(byte & 127) << shift
    if (byte < 128) return value
  }
  throw new MalformedMessage('truncated or overlong varint')
}
