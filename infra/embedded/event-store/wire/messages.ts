import { type ProposedEvent, readProposedEvent } from './proposed-event.ts'
import { type Cursor, fieldLength, readBytes, readVarint, skipField, varintLength, Writer } from './protobuf.ts'
import { readUuid, UUID_LENGTH, writeUuid } from './uuid.ts'

/** `BatchAppendReq` with its options left encoded: only the first part of an append carries them. */
export type BatchPart = {
  correlationId: string
  options: Buffer | undefined
  events: ProposedEvent[]
  isFinal: boolean
}

/** `AppendReq`: first the encoded options, then one message per event. */
export type AppendPart = { options: Buffer } | { event: ProposedEvent }

/** Decodes `BatchAppendReq` (streams.proto). */
export function readBatchPart(bytes: Buffer): BatchPart {
  const cursor: Cursor = { at: 0 }
  const part: BatchPart = { correlationId: '', options: undefined, events: [], isFinal: false }
  while (cursor.at < bytes.length) {
    const tag = readVarint(bytes, cursor)
    if (tag === 0x0a) part.correlationId = readUuid(readBytes(bytes, cursor))
    else if (tag === 0x12) part.options = readBytes(bytes, cursor)
    else if (tag === 0x1a) part.events.push(readProposedEvent(readBytes(bytes, cursor)))
    else if (tag === 0x20) part.isFinal = readVarint(bytes, cursor) !== 0
    else skipField(bytes, cursor, tag & 7)
  }
  return part
}

/** Decodes `AppendReq` (streams.proto). */
export function readAppendPart(bytes: Buffer): AppendPart {
  const cursor: Cursor = { at: 0 }
  const tag = readVarint(bytes, cursor)
  const content = readBytes(bytes, cursor)
  return tag === 0x12 ? { event: readProposedEvent(content) } : { options: content }
}

/** Encodes the success form of `BatchAppendResp`. */
export function encodeBatchSuccess(correlationId: string, stream: string, revision: number, position: number): Buffer {
  const positionLength = 2 * (1 + varintLength(position))
  const successLength = 1 + varintLength(revision) + fieldLength(positionLength)
  const nameLength = Buffer.byteLength(stream)
  const size = fieldLength(UUID_LENGTH) + fieldLength(successLength) + fieldLength(fieldLength(nameLength))
  const writer = new Writer(size)
  writeUuid(writer, 1, correlationId)
  writer.open(3, successLength).varintField(1, revision)
  writer.open(3, positionLength).varintField(1, position).varintField(2, position)
  writer.open(4, fieldLength(nameLength)).textField(3, stream, nameLength)
  return writer.bytes
}

/** Encodes `ReadResp{event}` around bytes that are already a RecordedEvent. A link that resolves to nothing has no event. */
export function encodeReadEvent(event: Buffer | undefined, link: Buffer | undefined, position: number): Buffer {
  const inner =
    (event ? fieldLength(event.length) : 0) + (link ? fieldLength(link.length) : 0) + 1 + varintLength(position)
  const writer = new Writer(fieldLength(inner))
  writer.open(1, inner)
  if (event) writer.bytesField(1, event)
  if (link) writer.bytesField(2, link)
  writer.varintField(3, position)
  return writer.bytes
}
