import code from '@eventstore/db-client/generated/code_pb.js'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import statusPb from '@eventstore/db-client/generated/status_pb.js'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import anyPb from 'google-protobuf/google/protobuf/any_pb.js'
import emptyPb from 'google-protobuf/google/protobuf/empty_pb.js'
import type { Expected } from '../store/decide.ts'
import { MAX_APPEND_SIZE, type Outcome } from '../store/event-store.ts'

type Failure = Exclude<Outcome, { kind: 'done' }> | { kind: 'timeout' }
type Detail = { code: code.Code; name: string; message: { serializeBinary(): Uint8Array } }

/** Encodes the error form of `BatchAppendResp`: a google.rpc.Status whose detail the client unpacks by type name. */
export function batchFailure(correlationId: string, stream: string, expected: Expected, failure: Failure): Buffer {
  const detail = detailOf(stream, expected, failure)
  const any = new anyPb.Any()
  any.pack(detail.message.serializeBinary(), `event_store.client.${detail.name}`)
  const error = new statusPb.Status()
  error.setCode(detail.code)
  error.setMessage(detail.name)
  error.setDetails(any)
  const reply = replyTo(correlationId, stream)
  reply.setError(error)
  return Buffer.from(reply.serializeBinary())
}

/** Encodes the success of an append without events: nothing has a position. */
export function emptySuccess(correlationId: string, stream: string, revision: number): Buffer {
  const success = new streams.BatchAppendResp.Success()
  if (revision < 0) success.setNoStream(new emptyPb.Empty())
  else success.setCurrentRevision(String(revision))
  success.setNoPosition(new emptyPb.Empty())
  const reply = replyTo(correlationId, stream)
  reply.setSuccess(success)
  return Buffer.from(reply.serializeBinary())
}

/** `event_store.client.StreamIdentifier` of a stream name. */
export function streamIdentifier(stream: string): shared.StreamIdentifier {
  const identifier = new shared.StreamIdentifier()
  identifier.setStreamName(Buffer.from(stream))
  return identifier
}

function replyTo(correlationId: string, stream: string): streams.BatchAppendResp {
  const id = new shared.UUID()
  id.setString(correlationId)
  const reply = new streams.BatchAppendResp()
  reply.setCorrelationId(id)
  reply.setStreamIdentifier(streamIdentifier(stream))
  return reply
}

function detailOf(stream: string, expected: Expected, failure: Failure): Detail {
  switch (failure.kind) {
    case 'wrong-version': {
      const message = wrongVersion(expected, failure.current)
      return { code: code.Code.FAILED_PRECONDITION, name: 'WrongExpectedVersion', message }
    }
    case 'deleted': {
      const message = new shared.StreamDeleted()
      message.setStreamIdentifier(streamIdentifier(stream))
      return { code: code.Code.FAILED_PRECONDITION, name: 'StreamDeleted', message }
    }
    case 'too-large': {
      const message = new shared.MaximumAppendSizeExceeded()
      message.setMaxappendsize(MAX_APPEND_SIZE)
      return { code: code.Code.INVALID_ARGUMENT, name: 'MaximumAppendSizeExceeded', message }
    }
    case 'timeout':
      return { code: code.Code.DEADLINE_EXCEEDED, name: 'Timeout', message: new shared.Timeout() }
  }
}

function wrongVersion(expected: Expected, current: number): shared.WrongExpectedVersion {
  const message = new shared.WrongExpectedVersion()
  if (current < 0) message.setCurrentNoStream(new emptyPb.Empty())
  else message.setCurrentStreamRevision(String(current))
  if (expected === 'any') message.setExpectedAny(new emptyPb.Empty())
  else if (expected === 'no_stream') message.setExpectedNoStream(new emptyPb.Empty())
  else if (expected === 'stream_exists') message.setExpectedStreamExists(new emptyPb.Empty())
  else message.setExpectedStreamPosition(String(expected))
  return message
}
