import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { SessionCommand, SessionEnd, SessionEvent } from '../../schemas/session.ts'
import { type Decider, DomainError } from './decider.ts'

export type KnownSession = {
  status: 'active' | 'ended'
  sessionId: string
  userId: string
  mfa: boolean
  refreshHash: string
  /** Every refresh token there was: one of these that comes again was copied. At most MOST_ROTATIONS. */
  usedHashes: readonly string[]
  startedAt: string
  lastUsedAt: string
  idleSeconds: number
  expiresAt: string
}
export type Session = { status: 'absent' } | KnownSession
const MOST_ROTATIONS = 1_000
type DataOf<T extends SessionCommand['type']> = Extract<SessionCommand, { type: T }>['data']

export const session: Decider<Session, SessionCommand, SessionEvent, undefined> = {
  category: 'session',
  streamOf: data => streams.session(data.sessionId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state, meta) {
    if (command.type === 'start-session') return start(command.data, state, meta)
    if (state.status === 'absent') throw new DomainError('session-not-found', `no session ${command.data.sessionId}`)
    const { sessionId, userId } = state
    switch (command.type) {
      case 'rotate-refresh-token':
        return rotate(command.data, state, meta)
      case 'sign-out':
        return state.status === 'ended' ? [] : [{ type: 'LoggedOut', data: { sessionId, userId } }]
      case 'end-session':
        return state.status === 'ended' ? [] : [revoked(state, command.data.why)]
      case 'revoke-session': {
        const { reason } = command.data
        if (state.status === 'ended') return []
        return [{ type: 'SessionRevoked', data: { sessionId, userId, why: 'administrator', reason } }]
      }
    }
  },
}

function start(data: DataOf<'start-session'>, state: Session, { at }: Meta): SessionEvent[] {
  if (state.status !== 'absent') return []
  const { lifeSeconds, ...rest } = data
  const expiresAt = new Date(Date.parse(at) + lifeSeconds * 1000).toISOString()
  return [{ type: 'SessionStarted', data: { ...rest, startedAt: at, expiresAt } }]
}

/**
 * One of many that show the same token wins by appending first. A token that was used up ends the session: whoever
 * holds the newer one may be the thief (RFC 9700 section 4.14.2).
 */
function rotate(data: DataOf<'rotate-refresh-token'>, state: KnownSession, { at }: Meta): SessionEvent[] {
  const { sessionId, userId } = state
  const { presentedHash, nextHash } = data
  if (state.usedHashes.includes(presentedHash)) {
    const reuse: SessionEvent = {
      type: 'RefreshTokenReuseDetected',
      data: { sessionId, userId, usedHash: presentedHash },
    }
    return state.status === 'ended' ? [] : [reuse, revoked(state, 'reuse')]
  }
  if (state.status === 'ended' || presentedHash !== state.refreshHash)
    throw new DomainError('session-ended', 'sign in again')
  // A token every five minutes is far less: who goes on and on would only make the session's history long.
  const over = state.usedHashes.length >= MOST_ROTATIONS ? 'expired' : overBy(state, at)
  if (over) return [revoked(state, over)]
  return [{ type: 'RefreshTokenRotated', data: { sessionId, userId, refreshHash: nextHash, at } }]
}

/** Why a session that was not ended is over at this time. */
export function overBy(
  { expiresAt, lastUsedAt, idleSeconds }: KnownSession,
  at: string,
): 'expired' | 'inactive' | undefined {
  if (Date.parse(at) >= Date.parse(expiresAt)) return 'expired'
  return Date.parse(at) >= Date.parse(lastUsedAt) + idleSeconds * 1000 ? 'inactive' : undefined
}

const revoked = ({ sessionId, userId }: KnownSession, why: SessionEnd): SessionEvent => ({
  type: 'SessionRevoked',
  data: { sessionId, userId, why },
})

function evolve(state: Session, event: SessionEvent): Session {
  if (event.type === 'SessionStarted') {
    const { sessionId, userId, mfa, refreshHash, startedAt, idleSeconds, expiresAt } = event.data
    const begun = { sessionId, userId, mfa, refreshHash, startedAt, idleSeconds, expiresAt }
    return { ...begun, status: 'active', usedHashes: [], lastUsedAt: startedAt }
  }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'RefreshTokenRotated': {
      const { refreshHash, at } = event.data
      return { ...state, refreshHash, usedHashes: [...state.usedHashes, state.refreshHash], lastUsedAt: at }
    }
    case 'RefreshTokenReuseDetected':
      return state
    case 'SessionRevoked':
    case 'LoggedOut':
      return { ...state, status: 'ended' }
  }
}
