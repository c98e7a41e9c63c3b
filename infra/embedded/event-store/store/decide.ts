import { readHeader } from '../wire/recorded-event.ts'
import type { State, StreamHead } from './state.ts'
import { isSoftDeleted, metastreamOf } from './stream-metadata.ts'

/** Expected revision of an append, as the client states it; a number is exact. */
export type Expected = 'any' | 'no_stream' | 'stream_exists' | number

export type Decision =
  | { kind: 'append' }
  | { kind: 'repeat'; revision: number; position: number }
  | { kind: 'wrong-version' }
  | { kind: 'deleted' }

/**
 * Decides an append as EventStoreDB does (docs: optimistic concurrency and idempotence): under an exact or no_stream
 * expectation the same ids at the same place are a repeat and a partial match is a wrong version; under any and
 * stream_exists a repeat is recognised while its ids are among the recent ones.
 */
export function decideAppend(state: State, head: StreamHead, expected: Expected, ids: string[]): Decision {
  if (head.tombstoned) return { kind: 'deleted' }
  if (expected === 'stream_exists') {
    if (!exists(state, head)) return { kind: 'wrong-version' }
    if (isSoftDeleted(state.metadata(head.name))) return { kind: 'deleted' }
  }
  if (expected === 'any' || expected === 'stream_exists') return decideByRecentIds(state, head, ids)
  const revision = expected === 'no_stream' ? -1 : expected
  if (revision === head.last) return { kind: 'append' }
  if (revision > head.last) return { kind: 'wrong-version' }
  return decideByPlace(state, head, revision, ids)
}

/** A stream exists when it has events or metadata. */
export function exists(state: State, head: StreamHead): boolean {
  return head.last >= 0 || state.head(metastreamOf(head.name)).last >= 0
}

function decideByRecentIds(state: State, head: StreamHead, ids: string[]): Decision {
  const seen = ids.map(id => state.recentIds.get(id)).filter(found => found?.stream === head.name)
  const [first] = ids
  if (first === undefined || state.recentIds.get(first)?.stream !== head.name) return { kind: 'append' }
  const last = seen.at(-1)
  if (seen.length < ids.length || !last) return { kind: 'wrong-version' }
  return { kind: 'repeat', revision: last.revision, position: last.position }
}

function decideByPlace(state: State, head: StreamHead, expected: number, ids: string[]): Decision {
  const matching = ids.findIndex((id, offset) => idAt(state, head, expected + 1 + offset) !== id)
  const revision = expected + ids.length
  const position = state.position(head, revision)
  if (matching === -1 && ids.length > 0 && position !== undefined) return { kind: 'repeat', revision, position }
  const recreates = expected === -1 && matching === 0 && isSoftDeleted(state.metadata(head.name))
  return recreates ? { kind: 'append' } : { kind: 'wrong-version' }
}

function idAt(state: State, head: StreamHead, revision: number): string | undefined {
  const event = revision <= head.last ? state.event(head, revision) : undefined
  return event && readHeader(event).id
}
