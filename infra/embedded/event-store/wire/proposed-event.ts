import { type Cursor, MalformedMessage, readBytes, readVarint, skipField, Wire } from './protobuf.ts'
import { readUuid } from './uuid.ts'

/** One event as a client proposes it; `metadata` and `data` are views into the request. */
export type ProposedEvent = { id: string; type: string; contentType: string; metadata: Buffer; data: Buffer }

const EMPTY = Buffer.alloc(0)
const MAX_TYPE_BYTES = 1024

/** Decodes `ProposedMessage` of AppendReq and BatchAppendReq (same fields in both, streams.proto). */
export function readProposedEvent(bytes: Buffer): ProposedEvent {
  const cursor: Cursor = { at: 0 }
  const event: ProposedEvent = { id: '', type: '', contentType: '', metadata: EMPTY, data: EMPTY }
  while (cursor.at < bytes.length) {
    const tag = readVarint(bytes, cursor)
    if ((tag & 7) !== Wire.bytes) {
      skipField(bytes, cursor, tag & 7)
      continue
    }
    const field = readBytes(bytes, cursor)
    const number = tag >> 3
    if (number === 1) event.id = readUuid(field)
    else if (number === 2) readMetadataEntry(field, event)
    else if (number === 3) event.metadata = field
    else if (number === 4) event.data = field
  }
  if (event.id === '') throw new MalformedMessage('an event has no id')
  if (event.type === '' || Buffer.byteLength(event.type) > MAX_TYPE_BYTES) {
    throw new MalformedMessage(`an event type has between 1 and ${MAX_TYPE_BYTES} bytes`)
  }
  return event
}

function readMetadataEntry(bytes: Buffer, event: ProposedEvent): void {
  const cursor: Cursor = { at: 0 }
  let key = ''
  let value = ''
  while (cursor.at < bytes.length) {
    const tag = readVarint(bytes, cursor)
    if (tag === 0x0a) key = readBytes(bytes, cursor).toString('utf8')
    else if (tag === 0x12) value = readBytes(bytes, cursor).toString('utf8')
    else skipField(bytes, cursor, tag & 7)
  }
  if (key === 'type') event.type = value
  else if (key === 'content-type') event.contentType = value
}

/** Bytes an event counts for against the append limit, as EventStoreDB counts them. */
export function sizeOf(event: ProposedEvent): number {
  return event.data.length + event.metadata.length + 2 * event.type.length
}
