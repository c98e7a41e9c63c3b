import streams from '@eventstore/db-client/generated/streams_pb.js'
import { invalidArgument } from './errors.ts'
import { type Filter, readFilter } from './filter.ts'
import { boundedNumber, streamName } from './options.ts'

/** Where to begin: an end of the log or stream, or a position or revision. */
export type Origin = 'start' | 'end' | number

/** A decoded ReadReq: what to read, from where, how much, and whether to go on as a subscription. */
export type ReadPlan = {
  stream: string | undefined
  from: Origin
  backwards: boolean
  resolveLinks: boolean
  limit: number
  subscribe: boolean
  filter: Filter | undefined
}

/** Decodes `ReadReq`. Throws INVALID_ARGUMENT. */
export function readPlan(request: streams.ReadReq): ReadPlan {
  const options = request.getOptions()
  if (!options) throw invalidArgument('A read has options.')
  const subscribe = options.hasSubscription()
  const limit = subscribe ? Number.POSITIVE_INFINITY : boundedNumber(options.getCount())
  if (limit <= 0) throw invalidArgument('Count must be greater than 0.')
  return {
    ...source(options),
    backwards: options.getReadDirection() === streams.ReadReq.Options.ReadDirection.BACKWARDS,
    resolveLinks: options.getResolveLinks(),
    limit,
    subscribe,
    filter: readFilter(options),
  }
}

function source(options: streams.ReadReq.Options): { stream: string | undefined; from: Origin } {
  const stream = options.getStream()
  if (stream) {
    const from = stream.hasStart() ? 'start' : stream.hasEnd() ? 'end' : boundedNumber(stream.getRevision())
    return { stream: streamName(stream.getStreamIdentifier()), from }
  }
  const all = options.getAll()
  if (!all) throw invalidArgument('A read is of a stream or of $all.')
  const position = boundedNumber(all.getPosition()?.getCommitPosition() ?? '')
  return { stream: undefined, from: all.hasStart() ? 'start' : all.hasEnd() ? 'end' : position }
}
