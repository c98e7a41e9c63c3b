import type { Duplex } from 'node:stream'
import type { EventStoreDBClient } from '@eventstore/db-client'

type Listener = (answer: unknown) => void
type StreamOf = (stub: unknown) => Duplex
/** How the client opens a stream; only the one of batched appends is kept, in a cache, for all of them. */
type OpenStream = (service: unknown, name: string, streamOf: StreamOf, cache?: unknown) => () => Promise<Duplex>

/**
 * Mends two faults of the client's batched appends (6.2.1), each of which ends the process:
 * - All clients of a process keep their unanswered appends in one table. A stream that breaks empties it, and the next
 *   answer on any other stream is thrown as an error from its event handler.
 * - Appends that wait to be written when the stream breaks leave rejected promises behind that nobody can catch.
 * Whoever appended hears in both cases that the outcome is unknown, as ever when a connection breaks.
 */
export function mendBatchedAppends(client: EventStoreDBClient): void {
  // Not in its types; the version of the client is pinned, and the specs fail without it.
  const internals = client as unknown as { GRPCStreamCreator: OpenStream }
  const open = internals.GRPCStreamCreator
  internals.GRPCStreamCreator = (service, name, streamOf, cache) =>
    open(service, name, cache ? stub => mended(streamOf(stub)) : streamOf, cache)
}

function mended(stream: Duplex): Duplex {
  const listeners = stream.listeners('data') as Listener[]
  stream.removeAllListeners('data')
  stream.on('data', answer => {
    try {
      for (const listener of listeners) listener(answer)
    } catch {
      // Of an append that was given up when another stream broke.
    }
  })
  const write = stream.write.bind(stream) as (message: unknown) => boolean
  // What waits is bounded by who appends, each with a deadline; so nothing is held back before it is written.
  stream.write = (message: unknown) => {
    write(message)
    return true
  }
  return stream
}
