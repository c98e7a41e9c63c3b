import { type AccessState, accessKinds, applyEvent, createAccessState } from '../../infra/access.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import type { Log } from '../../infra/log.ts'
import type { Recorded } from '../../schemas/events.ts'

/** Who may do what, in step with the log. */
export interface AccessFeed {
  /** Nobody holds anything before the log was read to its end: half a history could permit what was taken back. */
  readonly state: AccessState
  readonly live: boolean
  /** Takes in what this process has just appended, without waiting for the log to tell it. */
  note(events: readonly Recorded[]): void
  stop(): Promise<void>
}

export type FeedParts = {
  store: Pick<EventStore, 'follow'>
  log: Log
  /** Told everything that is taken in; `isHistory` until the log was read to its end. */
  seen?: ((events: readonly Recorded[], isHistory: boolean) => void) | undefined
}

/**
 * Follows the log all the time, unlike what reads it in strides: what was taken back has to count at once, however much
 * there is to do. There are few such events, so being told of each costs little.
 */
export function createAccessFeed({ store, log, seen }: FeedParts): AccessFeed {
  const stopped = new AbortController()
  const nobody = createAccessState()
  const state = createAccessState()
  let live = false
  const reading = async () => {
    const batches = store.follow({ categories: accessKinds, after: undefined, signal: stopped.signal })
    for await (const batch of batches) {
      for (const event of batch.events) applyEvent(state, event)
      seen?.(batch.events, !live)
      live ||= batch.caughtUp
    }
  }
  const following = reading().catch(err => {
    live = false
    if (!stopped.signal.aborted)
      log.error({ err }, 'who may do what cannot be read from the log: nobody may do anything')
  })
  return {
    get state() {
      return live ? state : nobody
    },
    get live() {
      return live
    },
    note: events => {
      if (!live) return
      for (const event of events) applyEvent(state, event)
      seen?.(events, false)
    },
    async stop() {
      stopped.abort()
      await following
    },
  }
}
