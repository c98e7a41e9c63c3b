import type { ProposedEvent } from './proposed-event.ts'
import { type Cursor, fieldLength, readBytes, readVarint, skipField, varintLength, Writer } from './protobuf.ts'
import { readUuid, UUID_LENGTH, writeUuid } from './uuid.ts'

/** Where an event went: `position` is both commit and prepare position, `created` is in 100 ns ticks since 1970. */
export type Placement = { stream: Buffer; revision: number; position: number; created: string }

/** The parts of a recorded event that reads, filters and checks look at. */
export type RecordedHeader = {
  id: string
  stream: string
  type: string
  revision: number
  position: number
  created: number
}

const mapEntry = (key: string, valueLength: number) => fieldLength(key.length) + fieldLength(valueLength)

/** Size of the encoded RecordedEvent, needed before its position is known only through `placement.position`. */
function encodedLength(event: ProposedEvent, at: Placement, typeLength: number, contentTypeLength: number): number {
  return (
    fieldLength(UUID_LENGTH) +
    fieldLength(fieldLength(at.stream.length)) +
    1 +
    varintLength(at.revision) +
    2 * (1 + varintLength(at.position)) +
    fieldLength(mapEntry('type', typeLength)) +
    fieldLength(mapEntry('created', at.created.length)) +
    fieldLength(mapEntry('content-type', contentTypeLength)) +
    fieldLength(event.metadata.length) +
    fieldLength(event.data.length)
  )
}

/** Encodes `ReadResp.ReadEvent.RecordedEvent` (streams.proto). What is stored is what is sent. */
export function encodeRecorded(event: ProposedEvent, at: Placement): Buffer {
  const typeLength = Buffer.byteLength(event.type)
  const contentTypeLength = Buffer.byteLength(event.contentType)
  const writer = new Writer(encodedLength(event, at, typeLength, contentTypeLength))
  writeUuid(writer, 1, event.id)
  writer.open(2, fieldLength(at.stream.length)).bytesField(3, at.stream)
  writer.varintField(3, at.revision).varintField(4, at.position).varintField(5, at.position)
  writeEntry(writer, 'type', event.type, typeLength)
  writeEntry(writer, 'created', at.created, at.created.length)
  writeEntry(writer, 'content-type', event.contentType, contentTypeLength)
  writer.bytesField(7, event.metadata).bytesField(8, event.data)
  return writer.bytes
}

function writeEntry(writer: Writer, key: string, value: string, valueLength: number): void {
  writer.open(6, mapEntry(key, valueLength)).textField(1, key, key.length).textField(2, value, valueLength)
}

/** Reads the header fields of a stored event; the payload is not touched. */
export function readHeader(bytes: Buffer): RecordedHeader {
  const cursor: Cursor = { at: 0 }
  const header: RecordedHeader = { id: '', stream: '', type: '', revision: -1, position: -1, created: 0 }
  while (cursor.at < bytes.length) {
    const tag = readVarint(bytes, cursor)
    const field = tag >> 3
    if (field === 3) header.revision = readVarint(bytes, cursor)
    else if (field === 4) header.position = readVarint(bytes, cursor)
    else if (field === 1) header.id = readUuid(readBytes(bytes, cursor))
    else if (field === 2) header.stream = readStreamName(readBytes(bytes, cursor))
    else if (field === 6) readMapEntry(readBytes(bytes, cursor), header)
    else if (field > 6) break
    else skipField(bytes, cursor, tag & 7)
  }
  return header
}

/** Decodes `event_store.client.StreamIdentifier`. */
export function readStreamName(bytes: Buffer): string {
  const cursor: Cursor = { at: 0 }
  while (cursor.at < bytes.length) {
    const tag = readVarint(bytes, cursor)
    if (tag === 0x1a) return readBytes(bytes, cursor).toString('utf8')
    skipField(bytes, cursor, tag & 7)
  }
  return ''
}

function readMapEntry(bytes: Buffer, header: RecordedHeader): void {
  const cursor: Cursor = { at: 0 }
  readVarint(bytes, cursor)
  const key = readBytes(bytes, cursor).toString('latin1')
  readVarint(bytes, cursor)
  const value = readBytes(bytes, cursor)
  if (key === 'type') header.type = value.toString('utf8')
  else if (key === 'created') header.created = Number(value.toString('latin1'))
}

/** The payload of a stored event: the `data` field, empty when absent. */
export function readData(bytes: Buffer): Buffer {
  const cursor: Cursor = { at: 0 }
  while (cursor.at < bytes.length) {
    const tag = readVarint(bytes, cursor)
    if (tag === 0x42) return readBytes(bytes, cursor)
    skipField(bytes, cursor, tag & 7)
  }
  return Buffer.alloc(0)
}
