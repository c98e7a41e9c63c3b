import shared from '@eventstore/db-client/generated/shared_pb.js'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import fc from 'fast-check'
import t from 'tap'
import { encodeBatchSuccess, encodeReadEvent, readAppendPart, readBatchPart } from './messages.ts'
import { type ProposedEvent, readProposedEvent, sizeOf } from './proposed-event.ts'
import { MalformedMessage, readVarint, varintLength, Writer } from './protobuf.ts'
import { encodeRecorded, readData, readHeader, readStreamName } from './recorded-event.ts'
import { readUuid } from './uuid.ts'

// The generated classes of the client are the other implementation of the same protocol.
const RecordedEvent = streams.ReadResp.ReadEvent.RecordedEvent

const bytes = fc.uint8Array({ maxLength: 400 }).map(array => Buffer.from(array))
const proposal: fc.Arbitrary<ProposedEvent> = fc.record({
  id: fc.uuid(),
  type: fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }),
  contentType: fc.constantFrom('application/json', 'application/octet-stream'),
  metadata: bytes,
  data: bytes,
})
const position = fc.maxSafeNat()

function toMessage(event: ProposedEvent): streams.BatchAppendReq.ProposedMessage {
  const message = new streams.BatchAppendReq.ProposedMessage()
  message.setId(new shared.UUID().setString(event.id))
  message.getMetadataMap().set('type', event.type).set('content-type', event.contentType)
  message.setCustomMetadata(event.metadata).setData(event.data)
  return message
}

t.test('what is encoded as a recorded event decodes to the same by the generated classes', async t => {
  fc.assert(
    fc.property(
      proposal,
      fc.string({ minLength: 1, unit: 'grapheme' }),
      position,
      position,
      (event, stream, revision, at) => {
        const placement = { stream: Buffer.from(stream), revision, position: at, created: '17000000000000000' }
        const encoded = encodeRecorded(event, placement)
        const decoded = RecordedEvent.deserializeBinary(encoded)
        t.equal(decoded.getId()?.getString(), event.id)
        t.equal(Buffer.from(decoded.getStreamIdentifier()?.getStreamName_asU8() ?? []).toString(), stream)
        t.equal(decoded.getStreamRevision(), String(revision))
        t.same([decoded.getCommitPosition(), decoded.getPreparePosition()], [String(at), String(at)])
        t.same(new Map(decoded.getMetadataMap().toArray()).get('type'), event.type)
        t.same(new Map(decoded.getMetadataMap().toArray()).get('created'), placement.created)
        t.same(Buffer.from(decoded.getData_asU8()), event.data)
        t.same(Buffer.from(decoded.getCustomMetadata_asU8()), event.metadata)
        const header = { id: event.id, stream, type: event.type, revision, position: at, created: 17e15 }
        t.same(readHeader(encoded), header)
        t.same(readData(encoded), event.data)
      },
    ),
    { numRuns: 50 },
  )
})

t.test('what the client encodes is decoded', async t => {
  fc.assert(
    fc.property(fc.array(proposal, { maxLength: 4 }), fc.uuid(), fc.boolean(), (events, id, isFinal) => {
      const request = new streams.BatchAppendReq().setCorrelationId(new shared.UUID().setString(id)).setIsFinal(isFinal)
      const options = new streams.BatchAppendReq.Options().setStreamPosition('7')
      request.setOptions(options).setProposedMessagesList(events.map(toMessage))
      const part = readBatchPart(Buffer.from(request.serializeBinary()))
      t.same(part.events, events)
      t.match(part, { correlationId: id, isFinal })
      t.same(part.options, Buffer.from(options.serializeBinary()))
    }),
    { numRuns: 50 },
  )
  const event = {
    id: 'c0000000-0000-4000-8000-000000000000',
    type: 'T',
    contentType: '',
    metadata: Buffer.alloc(0),
    data: Buffer.from('x'),
  }
  const message = toMessage(event).serializeBinary()
  const proposed = new streams.AppendReq().setProposedMessage(
    streams.AppendReq.ProposedMessage.deserializeBinary(message),
  )
  t.same(readAppendPart(Buffer.from(proposed.serializeBinary())), { event })
  const options = new streams.AppendReq().setOptions(new streams.AppendReq.Options().setRevision('3'))
  t.match(readAppendPart(Buffer.from(options.serializeBinary())), { options: Buffer })
  t.equal(sizeOf(event), 3)
})

t.test('replies decode to what they say', async t => {
  const id = 'c0000000-0000-4000-8000-000000000001'
  const success = streams.BatchAppendResp.deserializeBinary(encodeBatchSuccess(id, 'grüße', 5, 2 ** 40))
  t.equal(success.getCorrelationId()?.getString(), id)
  t.equal(success.getSuccess()?.getCurrentRevision(), '5')
  t.equal(success.getSuccess()?.getPosition()?.getCommitPosition(), String(2 ** 40))
  t.equal(success.getSuccess()?.getPosition()?.getPreparePosition(), String(2 ** 40))
  t.equal(Buffer.from(success.getStreamIdentifier()?.getStreamName_asU8() ?? []).toString(), 'grüße')
  const event = Buffer.from(new RecordedEvent().setStreamRevision('9').serializeBinary())
  const resolved = streams.ReadResp.deserializeBinary(encodeReadEvent(event, event, 77)).getEvent()
  t.equal(resolved?.getEvent()?.getStreamRevision(), '9')
  t.equal(resolved?.getLink()?.getStreamRevision(), '9')
  t.equal(resolved?.getCommitPosition(), '77')
  t.equal(
    streams.ReadResp.deserializeBinary(encodeReadEvent(undefined, event, 1))
      .getEvent()
      ?.hasEvent(),
    false,
  )
})

t.test('ids are read in both their forms, and only if they are ids', async t => {
  const structured = new shared.UUID.Structured()
  structured.setMostSignificantBits('-4611686018427371520').setLeastSignificantBits('-9223372036854775807')
  const bytes = Buffer.from(new shared.UUID().setStructured(structured).serializeBinary())
  t.equal(readUuid(bytes), 'c0000000-0000-4000-8000-000000000001')
  const upper = Buffer.from(new shared.UUID().setString('C0000000-0000-4000-8000-00000000000A').serializeBinary())
  t.equal(readUuid(upper), 'c0000000-0000-4000-8000-00000000000a')
  for (const bad of ['', 'x', 'c0000000-0000-4000-8000-00000000000g']) {
    t.throws(() => readUuid(Buffer.from(new shared.UUID().setString(bad).serializeBinary())), {
      name: 'MalformedMessage',
    })
  }
  t.throws(() => readUuid(Buffer.from([0x0a, 0x0c, 0x08, ...Array(10).fill(0xff)])), { name: 'MalformedMessage' })
})

t.test('any bytes are decoded or called malformed, never anything else', async t => {
  const decoders = [readBatchPart, readAppendPart, readProposedEvent, readUuid, readHeader, readData, readStreamName]
  const valid = Buffer.from(
    toMessage({
      id: 'c0000000-0000-4000-8000-000000000000',
      type: 'T',
      contentType: '',
      metadata: Buffer.alloc(9),
      data: Buffer.alloc(9),
    }).serializeBinary(),
  )
  const damaged = fc.tuple(fc.nat(valid.length - 1), fc.nat(255)).map(([at, byte]) => {
    const copy = Buffer.from(valid)
    copy[at] = byte
    return copy
  })
  fc.assert(
    fc.property(fc.oneof(bytes, damaged), fc.constantFrom(...decoders), (input, decode) => {
      try {
        decode(input)
      } catch (error) {
        if (!(error instanceof MalformedMessage)) throw error
      }
    }),
    { numRuns: 2000 },
  )
  t.throws(() => readProposedEvent(Buffer.alloc(0)), { message: /no id/ })
  t.throws(() => readProposedEvent(valid.subarray(0, 40)), { message: /event type/ })
})

t.test('numbers take the bytes they are said to take', async t => {
  fc.assert(
    fc.property(fc.maxSafeNat(), value => {
      const writer = new Writer(varintLength(value)).varint(value)
      const cursor = { at: 0 }
      t.equal(readVarint(writer.bytes, cursor), value)
      t.equal(cursor.at, varintLength(value))
    }),
  )
})
