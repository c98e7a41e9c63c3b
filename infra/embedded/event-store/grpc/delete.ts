import streams from '@eventstore/db-client/generated/streams_pb.js'
import type { sendUnaryData } from '@grpc/grpc-js'
import type { Expected } from '../store/decide.ts'
import type { EventStore, Outcome } from '../store/event-store.ts'
import { invalidArgument, streamDeleted, toServiceError, wrongExpectedVersion } from './errors.ts'
import { expectedNumber, expectedRevision, streamName } from './options.ts'

type Options = streams.DeleteReq.Options | streams.TombstoneReq.Options
type Remove = (stream: string, expected: Expected) => Promise<Outcome>

/** Serves Streams.Delete: the soft delete. */
export function serveDelete(request: streams.DeleteReq, reply: sendUnaryData<streams.DeleteResp>, store: EventStore) {
  remove(request.getOptions(), (stream, expected) => store.softDelete(stream, expected)).then(
    position => {
      const at = new streams.DeleteResp.Position()
      at.setCommitPosition(position).setPreparePosition(position)
      reply(null, new streams.DeleteResp().setPosition(at))
    },
    error => reply(toServiceError(error)),
  )
}

/** Serves Streams.Tombstone: the hard delete. */
export function serveTombstone(
  request: streams.TombstoneReq,
  reply: sendUnaryData<streams.TombstoneResp>,
  store: EventStore,
): void {
  remove(request.getOptions(), (stream, expected) => store.tombstone(stream, expected)).then(
    position => {
      const at = new streams.TombstoneResp.Position()
      at.setCommitPosition(position).setPreparePosition(position)
      reply(null, new streams.TombstoneResp().setPosition(at))
    },
    error => reply(toServiceError(error)),
  )
}

async function remove(options: Options | undefined, removal: Remove): Promise<string> {
  if (!options) throw invalidArgument('A delete has options.')
  const stream = streamName(options.getStreamIdentifier())
  const expected = expectedRevision(options, () => options.getRevision())
  const outcome = await removal(stream, expected)
  switch (outcome.kind) {
    case 'deleted':
      throw streamDeleted(stream)
    case 'wrong-version':
      throw wrongExpectedVersion(stream, expectedNumber(expected), outcome.current)
    case 'too-large':
    case 'done':
      return String(outcome.kind === 'done' ? (outcome.position ?? 0) : 0)
  }
}
