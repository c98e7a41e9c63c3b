import { applySignInEvent, createSignInFacts, type SignInFacts, signInKinds } from '../../infra/access.ts'
import { categoryOf, type Recorded } from '../../schemas/events.ts'
import type { FeedParts } from '../access/feed.ts'

/** What ends tokens and keys, and which sessions are open, in step with the log. */
export interface SignInFeed {
  readonly facts: SignInFacts
  readonly live: boolean
  /** Takes in what this process has just appended, without waiting for the log to tell it. */
  note(events: readonly Recorded[]): void
  openSessions(userId: string): readonly string[]
  stop(): Promise<void>
}

/** Before the log was read to its end nothing is known to have ended: nobody comes in until then (`live`). */
export function createSignInFeed({ store, log, seen }: FeedParts): SignInFeed {
  const stopped = new AbortController()
  const facts = createSignInFacts()
  const sessions = new Map<string, Set<string>>()
  let live = false
  const apply = (event: Recorded) => {
    if (!(signInKinds as readonly string[]).includes(categoryOf(event.stream))) return
    applySignInEvent(facts, event)
    if (event.type === 'SessionStarted') {
      const { userId, sessionId } = event.data
      if (facts.endedSessions.has(sessionId)) return
      sessions.set(userId, (sessions.get(userId) ?? new Set()).add(sessionId))
    } else if (event.type === 'SessionRevoked' || event.type === 'LoggedOut')
      sessions.get(event.data.userId)?.delete(event.data.sessionId)
  }
  const reading = async () => {
    for await (const batch of store.follow({ categories: signInKinds, after: undefined, signal: stopped.signal })) {
      for (const event of batch.events) apply(event)
      seen?.(batch.events, !live)
      live ||= batch.caughtUp
    }
  }
  const following = reading().catch(err => {
    live = false
    if (!stopped.signal.aborted) log.error({ err }, 'which sessions have ended cannot be read from the log')
  })
  return {
    facts,
    get live() {
      return live
    },
    note: events => {
      for (const event of events) apply(event)
      seen?.(events, false)
    },
    openSessions: userId => [...(sessions.get(userId) ?? [])],
    async stop() {
      stopped.abort()
      await following
    },
  }
}
