import type { EventStore } from '../infra/event-store/port.ts'
import type { Recorded } from '../schemas/events.ts'

const MAX_AGE_MS = 1_000
const MAX_ENTRIES = 1_000

/** Says how something stands in the log; `fresh` asks the log now. */
export type LogReader<S> = (id: string, options?: { fresh?: boolean }) => Promise<S>

/**
 * Reads short streams of the log, each at most once a second: a run on many targets asks for the same ones, and a
 * revocation takes effect within that second. Concurrent readers share one read.
 */
export function logReader<S>(
  store: Pick<EventStore, 'read'>,
  monotonic: () => number,
  { stream, fold }: { stream(id: string): string; fold(events: readonly Recorded[]): S },
): LogReader<S> {
  const cache = new Map<string, { at: number; status: Promise<S> }>()
  return (id, { fresh = false } = {}) => {
    const cached = cache.get(id)
    if (!fresh && cached && monotonic() - cached.at < MAX_AGE_MS) return cached.status
    const status = store.read(stream(id)).then(({ events }) => fold(events))
    // Its age counts from before the read, so that it is never older than it says.
    const entry = { at: monotonic(), status }
    cache.delete(id)
    cache.set(id, entry)
    const [oldest] = cache.keys()
    if (cache.size > MAX_ENTRIES && oldest !== undefined) cache.delete(oldest)
    status.catch(() => {
      if (cache.get(id) === entry) cache.delete(id)
    })
    return status
  }
}
