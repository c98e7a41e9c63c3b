import shared from '@eventstore/db-client/generated/shared_pb.js'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import type { Expected } from '../store/decide.ts'
import { type EventStore, MAX_APPEND_SIZE, type Outcome } from '../store/event-store.ts'
import type { AppendPart } from '../wire/messages.ts'
import { type ProposedEvent, sizeOf } from '../wire/proposed-event.ts'
import { invalidArgument, maximumAppendSizeExceeded, streamDeleted } from './errors.ts'
import { expectedRevision, streamName } from './options.ts'
import type { AppendCall } from './services.ts'

/** Serves Streams.Append: options first, then one message per event, one answer at the end. */
export async function serveAppend(call: AppendCall, store: EventStore): Promise<streams.AppendResp> {
  const { stream, expected, events } = await collect(call)
  return toResponse(stream, expected, await store.append(stream, expected, events))
}

type AppendRequest = { stream: string; expected: Expected; events: ProposedEvent[] }

// Keeps reading after a refusal, so that the answer reaches a client that is still sending.
function collect(call: AppendCall): Promise<AppendRequest> {
  return new Promise((resolve, reject) => {
    const events: ProposedEvent[] = []
    let options: Buffer | undefined
    let size = 0
    call.on('data', (part: AppendPart) => {
      if ('options' in part) {
        options = part.options
        return
      }
      size += sizeOf(part.event)
      if (size > MAX_APPEND_SIZE) reject(maximumAppendSizeExceeded())
      else events.push(part.event)
    })
    call.on('error', reject)
    call.on('end', () => resolve(toRequest(options, events)))
  })
}

async function toRequest(encoded: Buffer | undefined, events: ProposedEvent[]): Promise<AppendRequest> {
  if (!encoded) throw invalidArgument('An append starts with its options.')
  const options = streams.AppendReq.Options.deserializeBinary(encoded)
  return {
    stream: streamName(options.getStreamIdentifier()),
    expected: expectedRevision(options, () => options.getRevision()),
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
