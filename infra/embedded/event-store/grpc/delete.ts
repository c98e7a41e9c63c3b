import streams from '@eventstore/db-client/generated/streams_pb.js'
import type { Expected } from '../store/decide.ts'
import type { EventStore, Outcome } from '../store/event-store.ts'
import { invalidArgument, streamDeleted, wrongExpectedVersion } from './errors.ts'
import { expectedNumber, expectedRevision, streamName } from './options.ts'

type Options = streams.DeleteReq.Options | streams.TombstoneReq.Options
type Remove = (stream: string, expected: Expected) => Promise<Outcome>

/** Serves Streams.Delete: the soft delete. */
export async function serveDelete(request: streams.DeleteReq, store: EventStore): Promise<streams.DeleteResp> {
  const position = await remove(request.getOptions(), (stream, expected) => store.softDelete(stream, expected))
  const at = new streams.DeleteResp.Position().setCommitPosition(position).setPreparePosition(position)
  return new streams.DeleteResp().setPosition(at)
}

/** Serves Streams.Tombstone: the hard delete. */
export async function serveTombstone(request: streams.TombstoneReq, store: EventStore): Promise<streams.TombstoneResp> {
  const position = await remove(request.getOptions(), (stream, expected) => store.tombstone(stream, expected))
  const at = new streams.TombstoneResp.Position().setCommitPosition(position).setPreparePosition(position)
  return new streams.TombstoneResp().setPosition(at)
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
