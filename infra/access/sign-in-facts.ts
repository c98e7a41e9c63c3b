import { categoryOf, type Recorded, type StreamCategory } from '../../schemas/events.ts'

/**
 * What ends tokens and keys before their time. A token says itself whose it is and lives five minutes, so that only
 * what has ended has to be known, and not for long.
 */
export type SignInFacts = {
  /** When each ended, milliseconds since 1970. */
  endedSessions: Map<string, number>
  /** By user: sessions that began before count as ended. Milliseconds since 1970. */
  sessionsFrom: Map<string, number>
  /** SHA-256 of each API key that may come in, by its id. */
  keys: Map<string, { secretHash: string; owner: { kind: 'user' | 'service-account'; id: string } }>
}

/** The stream categories they are made of. */
export const signInKinds = ['user', 'apikey', 'session'] as const satisfies readonly StreamCategory[]

/** Longer than any token lives. */
const REMEMBER_MS = 15 * 60_000
const SWEEP_ABOVE = 10_000

export const createSignInFacts = (): SignInFacts => ({
  endedSessions: new Map(),
  sessionsFrom: new Map(),
  keys: new Map(),
})

const endSessions: ReadonlySet<string> = new Set([
  'UserPasswordChanged',
  'UserDeactivated',
  'UserPersonalDataErased',
  'MfaFactorRemoved',
])

/** Takes in one event; twice or in another order leads to the same. */
export function applySignInEvent(facts: SignInFacts, event: Recorded): void {
  switch (categoryOf(event.stream)) {
    case 'user':
      if (endSessions.has(event.type)) endAllOf(facts, event)
      break
    case 'session':
      if (event.type === 'SessionRevoked' || event.type === 'LoggedOut')
        endSession(facts, event.data.sessionId, Date.parse(event.metadata.at))
      break
    case 'apikey':
      if (event.type === 'ApiKeyIssued') {
        const { keyId, secretHash, owner } = event.data
        facts.keys.set(keyId, { secretHash, owner })
      } else if (event.type === 'ApiKeyRevoked') facts.keys.delete(event.data.keyId)
  }
}

function endAllOf(facts: SignInFacts, event: Recorded): void {
  const userId = 'userId' in event.data ? event.data.userId : undefined
  if (userId === undefined) return
  endSessionsBefore(facts, userId, Date.parse(event.metadata.at))
}

/** Never back: what has ended stays so. */
export function endSessionsBefore(facts: SignInFacts, userId: string, at: number): void {
  facts.sessionsFrom.set(userId, Math.max(at, facts.sessionsFrom.get(userId) ?? 0))
}

export function endSession(facts: SignInFacts, sessionId: string, at: number): void {
  facts.endedSessions.set(sessionId, at)
  if (facts.endedSessions.size <= SWEEP_ABOVE) return
  for (const [id, ended] of facts.endedSessions) if (at - ended > REMEMBER_MS) facts.endedSessions.delete(id)
}

/** Whether a session of a token that is otherwise good still counts. */
export const sessionCounts = (
  facts: SignInFacts,
  { sessionId, userId, began }: { sessionId: string; userId: string; began: number },
): boolean => !facts.endedSessions.has(sessionId) && began >= (facts.sessionsFrom.get(userId) ?? 0)
