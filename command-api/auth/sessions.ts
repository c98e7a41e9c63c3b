import { randomBytes } from 'node:crypto'
import { ProblemError, type Request } from '../../infra/http/index.ts'
import { sha256Hex } from '../../infra/ids.ts'
import { streams } from '../../schemas/events.ts'
import type { Actor } from '../../schemas/kernel.ts'
import type { SessionEnd } from '../../schemas/session.ts'
import { tokenAudience } from '../../schemas/sign-in-bus.ts'
import type { KnownSession } from '../domain/index.ts'
import { type AuthDeps, asUser, metaFor } from './deps.ts'

/** Half an hour without use, half a day in all. */
const IDLE_SECONDS = 30 * 60
const LIFE_SECONDS = 12 * 3_600

export type SignedIn = {
  status: 'signed-in'
  userId: string
  sessionId: string
  accessToken: string
  accessTokenExpiresAt: string
  refreshToken: string
  sessionExpiresAt: string
}
export type SignInMethod = 'passphrase' | 'oidc' | 'passkey'

/** `opsr_<sessionId without dashes>_<43 base64url>`: 256 random bits behind the session they are of. */
const REFRESH = /^opsr_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/
const newRefreshToken = (sessionId: string): string =>
  `opsr_${sessionId.replaceAll('-', '')}_${randomBytes(32).toString('base64url')}`

/** As many as nobody uses at once; a program that signs in anew each time leaves the last ones behind it. */
const MOST_SESSIONS = 50

/** The ones that began first make room. */
async function makeRoom(deps: AuthDeps, request: Request, userId: string): Promise<void> {
  const open = deps.feed.openSessions(userId)
  const surplus = open.slice(0, Math.max(0, open.length - MOST_SESSIONS))
  const by = asUser(userId)
  await Promise.all(surplus.map(sessionId => endSession(deps, request, { sessionId, why: 'too-many', by })))
}

/** Begins a session of somebody who has shown everything that was asked for. */
export async function openSession(
  deps: AuthDeps,
  request: Request,
  { userId, method, mfa }: { userId: string; method: SignInMethod; mfa: boolean },
): Promise<SignedIn> {
  const { dispatcher, ids } = deps
  const sessionId = ids.next()
  const refreshToken = newRefreshToken(sessionId)
  const meta = metaFor(deps, request, { ...asUser(userId), sessionId, mfa })
  const data = { sessionId, userId, method, mfa, refreshHash: sha256Hex(refreshToken) }
  const command = {
    type: 'start-session' as const,
    data: { ...data, idleSeconds: IDLE_SECONDS, lifeSeconds: LIFE_SECONDS },
  }
  await dispatcher.dispatch('session', command, { meta, facts: undefined, isNew: true })
  await makeRoom(deps, request, userId)
  const expiresAt = new Date(Date.parse(meta.at) + LIFE_SECONDS * 1000).toISOString()
  return await signedIn(deps, { sessionId, userId, mfa, startedAt: meta.at, expiresAt }, refreshToken)
}

type Signed = Pick<KnownSession, 'sessionId' | 'userId' | 'mfa' | 'startedAt' | 'expiresAt'>

async function signedIn({ vault }: AuthDeps, of: Signed, refreshToken: string): Promise<SignedIn> {
  const { sessionId, userId, mfa, startedAt, expiresAt } = of
  const { token, expiresAt: tokenExpiresAt } = await vault.ask('sign-token', {
    kind: 'access',
    subject: userId,
    audience: [tokenAudience.commands, tokenAudience.queries],
    claims: { sid: sessionId, mfa, began: startedAt },
    notAfter: expiresAt,
  })
  const tokens = { accessToken: token, accessTokenExpiresAt: tokenExpiresAt, refreshToken }
  return { status: 'signed-in', userId, sessionId, ...tokens, sessionExpiresAt: expiresAt }
}

/**
 * Exchanges a refresh token for the next one. Of many that come at the same moment one wins; one that comes when it is
 * used up already ends the session.
 * @throws ProblemError unauthenticated, whatever the reason.
 */
export async function refresh(deps: AuthDeps, request: Request, refreshToken: string): Promise<SignedIn> {
  const { dispatcher } = deps
  const sessionId = REFRESH.exec(refreshToken)?.slice(1).join('-')
  if (sessionId === undefined) throw refused()
  const stream = streams.session(sessionId)
  const { state, revision } = await dispatcher.load('session', stream)
  if (state.status === 'absent' || revision === 'none') throw refused()
  const presentedHash = sha256Hex(refreshToken)
  const next = newRefreshToken(sessionId)
  const actor = { ...asUser(state.userId), sessionId, mfa: state.mfa }
  // Who shows the token that counts but comes second at this very moment is late, not a thief: decided on this revision only.
  const expected = presentedHash === state.refreshHash ? { expected: revision } : {}
  const command = {
    type: 'rotate-refresh-token' as const,
    data: { sessionId, presentedHash, nextHash: sha256Hex(next) },
  }
  await userMayGoOn(deps, request, state)
  const answer = await dispatcher
    .dispatch('session', command, { meta: metaFor(deps, request, actor), facts: undefined, ...expected })
    .catch(error => {
      throw error instanceof ProblemError && lost.has(error.code) ? refused() : error
    })
  if (!answer.events.some(({ type }) => type === 'RefreshTokenRotated')) {
    if (answer.events.some(({ type }) => type === 'RefreshTokenReuseDetected'))
      deps.log.warn({ sessionId, userId: state.userId }, 'a refresh token came twice: its session is ended')
    throw refused()
  }
  return await signedIn(deps, state, next)
}

const lost: ReadonlySet<string> = new Set(['session-ended', 'session-not-found', 'precondition-failed', 'conflict'])
const refused = () => new ProblemError('unauthenticated', 'Sign in again')

/** A session whose user was changed since ends here, should the event that ends it be missing. */
async function userMayGoOn(deps: AuthDeps, request: Request, session: KnownSession): Promise<void> {
  const { state } = await deps.dispatcher.load('user', streams.user(session.userId))
  const from = deps.feed.facts.sessionsFrom.get(session.userId) ?? 0
  if (state.status === 'active' && Date.parse(session.startedAt) >= from) return
  await endSession(deps, request, { sessionId: session.sessionId, why: 'user-deactivated', by: asUser(session.userId) })
  throw refused()
}

export async function endSession(
  deps: AuthDeps,
  request: Request,
  { sessionId, why, by }: { sessionId: string; why: SessionEnd; by: Actor },
): Promise<void> {
  const command = { type: 'end-session' as const, data: { sessionId, why } }
  await deps.dispatcher.dispatch('session', command, { meta: metaFor(deps, request, by), facts: undefined })
}

export async function signOut(deps: AuthDeps, request: Request, by: Actor): Promise<void> {
  const { sessionId } = by
  if (sessionId === undefined) return
  const command = { type: 'sign-out' as const, data: { sessionId } }
  await deps.dispatcher.dispatch('session', command, { meta: metaFor(deps, request, by), facts: undefined })
}
