import type { AnyEvent, LogPosition, Recorded, StreamCategory } from '../../schemas/events.ts'
import type { EventMetadata } from '../../schemas/kernel.ts'

/** An event that is about to be appended: the payload's newest version, an id that a repeat would carry too. */
export type NewEvent = AnyEvent & { id: string; metadata: Omit<EventMetadata, 'schemaVersion'> }
export type Revision = bigint | 'none'
export type Appended = { revision: bigint; position: LogPosition }

/** Somebody else appended first; read again and decide again. */
export class WrongRevision extends Error {
  override name = 'WrongRevision'
}
/** The append may or may not have happened: repeat it unchanged, or look for its event ids. */
export class AppendOutcomeUnknown extends Error {
  override name = 'AppendOutcomeUnknown'
}
/** The event store cannot be reached or refuses (disk full, shutting down); nothing was appended. */
export class EventStoreUnavailable extends Error {
  override name = 'EventStoreUnavailable'
}
/** One append is larger than the event store takes (1 MiB). */
export class AppendTooLarge extends Error {
  override name = 'AppendTooLarge'
}
/** A payload carries what looks like a private key or a token; nothing was appended. */
export class SecretInEvent extends Error {
  override name = 'SecretInEvent'
}

/** What a follower pulled: events in log order, and the position up to which nothing of its categories is missing. */
export type Batch = { events: Recorded[]; position: LogPosition | undefined; caughtUp: boolean }
export type FollowOptions = {
  categories: readonly StreamCategory[]
  /** The last position already handled; undefined starts at the beginning. */
  after: LogPosition | undefined
  signal: AbortSignal
  maxBatch?: number
}

export interface EventStore {
  /**
   * The whole stream (or from a revision on), oldest first, upcast.
   * `revision` is that of the last event, `none` for a stream that does not exist. Throws EventStoreUnavailable.
   */
  read(stream: string, from?: bigint): Promise<{ events: Recorded[]; revision: Revision }>
  /**
   * Appends all or nothing at exactly this revision; resolves only when it is durable. Repeating the same events
   * (same ids) at the same expected revision succeeds again without a second copy.
   * Throws WrongRevision, AppendOutcomeUnknown, EventStoreUnavailable, AppendTooLarge, SecretInEvent.
   */
  append(stream: string, events: readonly NewEvent[], expected: Revision): Promise<Appended>
  /** Position of the newest event of these categories, undefined for an empty log. */
  head(): Promise<LogPosition | undefined>
  /**
   * Follows `$all` for ever, pulled by the consumer and re-subscribed after every break from the last position given.
   * Ends when the signal aborts. Throws only for an event this program cannot read.
   */
  follow(options: FollowOptions): AsyncIterable<Batch>
  close(): Promise<void>
}
