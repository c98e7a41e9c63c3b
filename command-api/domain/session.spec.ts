import t from 'tap'
import type { SessionEvent } from '../../schemas/session.ts'
import { specFor } from '../../test/support/decider-spec.ts'
import { session } from './session.ts'

const sessionId = '0192d3c4-5e6f-7a8b-9c0d-00000000000a'
const userId = '0192d3c4-5e6f-7a8b-9c0d-00000000000b'
const [first, second, third] = ['1'.repeat(64), '2'.repeat(64), '3'.repeat(64)]
const now = '2030-01-01T00:00:00.000Z'
const begun = { sessionId, userId, method: 'passphrase' as const, mfa: false, refreshHash: first, idleSeconds: 1_800 }
const started = (at: string, expiresAt: string): SessionEvent => ({
  type: 'SessionStarted',
  data: { ...begun, startedAt: at, expiresAt },
})
const open = started('2029-12-31T23:50:00.000Z', '2030-01-01T12:00:00.000Z')
const rotated = (refreshHash: string, at = now): SessionEvent => ({
  type: 'RefreshTokenRotated',
  data: { sessionId, userId, refreshHash, at },
})
const over = (why: 'reuse' | 'inactive' | 'expired' | 'user-deactivated'): SessionEvent => ({
  type: 'SessionRevoked',
  data: { sessionId, userId, why },
})
const rotate = (presentedHash: string, nextHash = third) => ({
  type: 'rotate-refresh-token' as const,
  data: { sessionId, presentedHash, nextHash },
})

t.test('a session starts, once, and knows when it ends', async t => {
  const { given } = specFor(t, session)
  const start = { type: 'start-session' as const, data: { ...begun, lifeSeconds: 43_200 } }
  given().when(start).thenRecords(started(now, '2030-01-01T12:00:00.000Z'))
  given(open).when(start).thenNothing()
})

t.test('each refresh token is good once; one that comes again ends the session', async t => {
  const { given } = specFor(t, session)
  given(open).when(rotate(first, second)).thenRecords(rotated(second))
  given(open, rotated(second)).when(rotate(second)).thenRecords(rotated(third))
  const reuse: SessionEvent = { type: 'RefreshTokenReuseDetected', data: { sessionId, userId, usedHash: first } }
  given(open, rotated(second)).when(rotate(first)).thenRecords(reuse, over('reuse'))
  given(open, rotated(second), reuse, over('reuse')).when(rotate(second)).thenRejects('session-ended')
  given(open, rotated(second), reuse, over('reuse')).when(rotate(first)).thenNothing()
  given(open)
    .when(rotate('f'.repeat(64)))
    .thenRejects('session-ended')
  given().when(rotate(first)).thenRejects('session-not-found')
})

t.test('a session that is refreshed again and again without need ends', async t => {
  const { given } = specFor(t, session)
  const hash = (n: number) => String(n).padStart(64, '0')
  const often = Array.from({ length: 1_000 }, (_, n) => rotated(hash(n)))
  given(open, ...often.slice(1))
    .when(rotate(hash(999)))
    .thenRecords(rotated(third))
  given(open, ...often)
    .when(rotate(hash(999)))
    .thenRecords(over('expired'))
})

t.test('a session that was not used for long, or lasted long enough, is over', async t => {
  const { given } = specFor(t, session)
  given(started('2029-12-31T23:30:00.000Z', '2030-01-01T12:00:00.000Z'))
    .when(rotate(first))
    .thenRecords(over('inactive'))
  given(started('2029-12-31T12:00:00.000Z', now), rotated(second)).when(rotate(second)).thenRecords(over('expired'))
  given(started('2029-12-31T12:00:00.000Z', '2030-01-01T12:00:00.000Z'), rotated(second, '2029-12-31T23:59:00.000Z'))
    .when(rotate(second))
    .thenRecords(rotated(third))
})

t.test('a session is ended by who has it, by an administrator, or because its user changed', async t => {
  const { given } = specFor(t, session)
  const out: SessionEvent = { type: 'LoggedOut', data: { sessionId, userId } }
  given(open).when({ type: 'sign-out', data: { sessionId } }).thenRecords(out)
  given(open, out).when({ type: 'sign-out', data: { sessionId } }).thenNothing()
  const revoke = { type: 'revoke-session' as const, data: { sessionId, reason: 'laptop stolen' } }
  given(open)
    .when(revoke)
    .thenRecords({ type: 'SessionRevoked', data: { sessionId, userId, why: 'administrator', reason: 'laptop stolen' } })
  given(open, out).when(revoke).thenNothing()
  const end = { type: 'end-session' as const, data: { sessionId, why: 'user-deactivated' as const } }
  given(open).when(end).thenRecords(over('user-deactivated'))
  given(open, out).when(end).thenNothing()
})
