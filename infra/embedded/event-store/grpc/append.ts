import shared from '@eventstore/db-client/generated/shared_pb.js'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import type { ServerReadableStream, sendUnaryData } from '@grpc/grpc-js'
import type { Expected } from '../store/decide.ts'
import { type EventStore, MAX_APPEND_SIZE, type Outcome } from '../store/event-store.ts'
import type { AppendPart } from '../wire/messages.ts'
import { type ProposedEvent, sizeOf } from '../wire/proposed-event.ts'
import { invalidArgument, maximumAppendSizeExceeded, streamDeleted, toServiceError } from './errors.ts'
import { expectedRevision, streamName } from './options.ts'

/** Serves Streams.Append: options first, then one message per event, one answer at the end. */
export function serveAppend(
  call: ServerReadableStream<AppendPart, streams.AppendResp>,
  reply: sendUnaryData<streams.AppendResp>,
  store: EventStore,
): void {
  collect(call)
    .then(async ({ stream, expected, events }) => {
      const outcome = await store.append(stream, expected, events)
      reply(null, toResponse(stream, expected, outcome))
    })
    .catch(error => reply(toServiceError(error)))
}

type AppendRequest = { stream: string; expected: Expected; events: ProposedEvent[] }

async function collect(call: ServerReadableStream<AppendPart, unknown>): Promise<AppendRequest> {
  const events: ProposedEvent[] = []
  let options: streams.AppendReq.Options | undefined
  let size = 0
  for await (const part of call as AsyncIterable<AppendPart>) {
    if ('options' in part) {
      options = streams.AppendReq.Options.deserializeBinary(part.options)
      continue
    }
    size += sizeOf(part.event)
    if (size > MAX_APPEND_SIZE) throw maximumAppendSizeExceeded()
    events.push(part.event)
  }
  if (!options) throw invalidArgument('An append starts with its options.')
  const given = options
  return {
    stream: streamName(given.getStreamIdentifier()),
    expected: expectedRevision(given, () => given.getRevision()),
    events,
  }
}

function toResponse(stream: string, expected: Expected, outcome: Outcome): streams.AppendResp {
  switch (outcome.kind) {
    case 'deleted':
      throw streamDeleted(stream)
    case 'too-large':
      throw maximumAppendSizeExceeded()
    case 'wrong-version':
      return new streams.AppendResp().setWrongExpectedVersion(wrongVersion(expected, outcome.current))
    case 'done':
      return new streams.AppendResp().setSuccess(success(outcome.revision, outcome.position))
  }
}

function success(revision: number, position: number | undefined): streams.AppendResp.Success {
  const message = new streams.AppendResp.Success()
  if (revision < 0) message.setNoStream(new shared.Empty())
  else message.setCurrentRevision(String(revision))
  if (position === undefined) return message.setNoPosition(new shared.Empty())
  const at = new streams.AppendResp.Position()
  at.setCommitPosition(String(position))
  at.setPreparePosition(String(position))
  return message.setPosition(at)
}

function wrongVersion(expected: Expected, current: number): streams.AppendResp.WrongExpectedVersion {
  const message = new streams.AppendResp.WrongExpectedVersion()
  if (current < 0) message.setCurrentNoStream(new shared.Empty())
  else message.setCurrentRevision(String(current))
  if (expected === 'any') message.setExpectedAny(new shared.Empty())
  else if (expected === 'no_stream') message.setExpectedNoStream(new shared.Empty())
  else if (expected === 'stream_exists') message.setExpectedStreamExists(new shared.Empty())
  else message.setExpectedRevision(String(expected))
  return message
}
