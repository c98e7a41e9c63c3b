import t from 'tap'
import type { ApiKeyEvent } from '../../schemas/api-key.ts'
import type { ServiceAccountEvent, ServiceAccountRow } from '../../schemas/service-account.ts'
import type { SessionEvent, SessionRow } from '../../schemas/session.ts'
import type { UserEvent } from '../../schemas/user.ts'
import {
  type ApiKeyState,
  evolveApiKey,
  evolveServiceAccount,
  evolveSession,
  evolveUser,
  type UserState,
} from './principals.ts'

const id = (n: number) => `0192d3c4-5e6f-7a8b-9c0d-${n.toString(16).padStart(12, '0')}`
const [userId, other] = [id(1), id(2)]
const [loginIndex, hash] = ['1'.repeat(64), 'a'.repeat(64)]
/** The hour of an event is its place. */
const at = (hour: number) => `2030-01-01T${String(hour).padStart(2, '0')}:00:00.000Z`
const reason = 'because'

const invited: UserEvent = {
  type: 'UserInvited',
  data: { userId, loginIndex, linkHash: hash, linkExpiresAt: at(23) },
}
const registered: UserEvent = {
  type: 'UserRegistered',
  data: { userId, loginIndex, issuer: 'https://id.example.org' },
}
const passphrase: UserEvent = { type: 'UserPasswordChanged', data: { userId, verifierId: id(9), by: 'link' } }
const user = (...events: UserEvent[]) =>
  events.reduce<UserState | undefined>((state, event, n) => evolveUser(state, event, { at: at(n) }), undefined)
const fresh = {
  ...{ userId, name: userId, loginIndex, status: 'invited', registered: false, secondFactor: false },
  ...{ recoveryCodesLeft: 0, passphraseChangeRequired: false, lockedUntil: null, legalHold: false },
  ...{ erasureDeferred: false, certificate: null, sessionsFrom: null, factors: [] },
}

t.test('a user is shown as their events tell it', async t => {
  t.same(user(invited), fresh)
  const active = { ...fresh, status: 'active', registered: true, sessionsFrom: at(1) }
  t.same(user(invited, passphrase), active)
  t.same(user(registered), { ...fresh, status: 'active', registered: true }, 'by a provider')
  const then = (...events: UserEvent[]) => user(invited, passphrase, ...events)
  const required: UserEvent = { type: 'UserPasswordChangeRequired', data: { userId, reason } }
  t.same(then(required), { ...active, passphraseChangeRequired: true })
  t.same(then(required, passphrase), { ...active, sessionsFrom: at(3) }, 'a new one ends the sessions before')
  const reset = { linkHash: hash, linkExpiresAt: at(23), reason }
  t.same(then({ type: 'UserPasswordResetRequested', data: { userId, ...reset } }), active)
  const renamed: UserEvent = { type: 'UserProfileChanged', data: { userId, fields: ['displayName'] } }
  t.same(then(renamed), active, 'what they are called is not here')
  const another: UserEvent = {
    type: 'UserProfileChanged',
    data: { userId, fields: ['loginName'], loginIndex: hash },
  }
  t.same(then(another), { ...active, loginIndex: hash })
  const locked: UserEvent = { type: 'UserLocked', data: { userId, what: 'passphrase', until: at(20) } }
  t.same(then(locked), { ...active, lockedUntil: at(20) })
  t.same(then(locked, { type: 'UserUnlocked', data: { userId, reason } }), active)
})

t.test('who left comes back as what they were', async t => {
  const left: UserEvent = { type: 'UserDeactivated', data: { userId, reason } }
  const back: UserEvent = { type: 'UserReactivated', data: { userId, reason } }
  t.match(user(invited, passphrase, left), { status: 'deactivated', sessionsFrom: at(2) })
  t.match(user(invited, passphrase, left, back), { status: 'active', sessionsFrom: at(2) })
  t.match(user(registered, left, back), { status: 'active' })
  t.match(user(invited, left, back), { status: 'invited' }, 'who never came is still only invited')
})

t.test('second factors and recovery codes are counted', async t => {
  const enrolled = (factorId: string): UserEvent => ({
    type: 'MfaFactorEnrolled',
    data: { userId, factorId, kind: 'totp' },
  })
  const removed = (factorId: string): UserEvent => ({ type: 'MfaFactorRemoved', data: { userId, factorId } })
  const issued: UserEvent = { type: 'RecoveryCodesIssued', data: { userId, setId: id(5), count: 10 } }
  const used: UserEvent = { type: 'RecoveryCodeUsed', data: { userId, setId: id(5), left: 9 } }
  const both = [invited, enrolled(id(3)), enrolled(id(4)), issued]
  t.match(user(...both), { secondFactor: true, factors: [id(3), id(4)], recoveryCodesLeft: 10 })
  t.match(user(...both, used), { recoveryCodesLeft: 9 })
  const one = user(...both, used, removed(id(3)))
  t.match(one, { secondFactor: true, recoveryCodesLeft: 9, sessionsFrom: at(5) })
  t.same(one?.factors, [id(4)])
  const none = user(...both, used, removed(id(3)), removed(id(4)))
  t.match(none, { secondFactor: false, recoveryCodesLeft: 0, sessionsFrom: at(6) })
  t.same(none?.factors, [])
})

t.test('erasing leaves an id and its certificate', async t => {
  const held: UserEvent = { type: 'LegalHoldPlaced', data: { userId, reason } }
  const deferred: UserEvent = { type: 'ErasureDeferred', data: { userId, reason } }
  const released: UserEvent = { type: 'LegalHoldReleased', data: { userId, reason } }
  t.match(user(invited, held, deferred), { legalHold: true, erasureDeferred: true, status: 'invited', loginIndex })
  t.match(user(invited, held, deferred, released), { legalHold: false, erasureDeferred: true })
  const certificate = {
    ...{ userId, erasedAt: at(4), dataKeyDigest: hash, records: 2 },
    ...{ publicKey: 'k'.repeat(43), signature: 's'.repeat(86) },
  }
  const locked: UserEvent = { type: 'UserLocked', data: { userId, what: 'passphrase', until: at(20) } }
  const factor: UserEvent = { type: 'MfaFactorEnrolled', data: { userId, factorId: id(3), kind: 'totp' } }
  const erased: UserEvent = { type: 'UserPersonalDataErased', data: { userId, reason, certificate } }
  t.same(user(invited, locked, factor, held, deferred, released, erased), {
    ...{ ...fresh, status: 'erased', loginIndex: null, certificate, sessionsFrom: at(6) },
  })
})

t.test('a service account is shown with who answers for it', async t => {
  const serviceAccountId = id(6)
  const account = (...events: ServiceAccountEvent[]) =>
    events.reduce<ServiceAccountRow | undefined>((row, event) => evolveServiceAccount(row, event), undefined)
  const [ann, team] = [
    { kind: 'user' as const, id: userId },
    { kind: 'group' as const, id: other },
  ]
  const created = (more: object): ServiceAccountEvent => ({
    type: 'ServiceAccountCreated',
    data: { serviceAccountId, name: 'nightly', ...more },
  })
  const shown = { serviceAccountId, name: 'nightly', description: null, status: 'active' }
  t.same(account(created({})), { ...shown, owner: null, ownerless: true })
  const owned = { ...shown, description: 'backups', owner: ann, ownerless: false }
  const full = created({ description: 'backups', owner: ann })
  t.same(account(full), owned)
  const orphaned: ServiceAccountEvent = {
    type: 'ServiceAccountOrphaned',
    data: { serviceAccountId, name: 'nightly', owner: ann },
  }
  t.same(account(full, orphaned), { ...owned, ownerless: true })
  const transferred: ServiceAccountEvent = {
    type: 'ServiceAccountOwnerChanged',
    data: { serviceAccountId, owner: team, reason },
  }
  t.same(account(full, orphaned, transferred), { ...owned, owner: team })
  const disabled: ServiceAccountEvent = { type: 'ServiceAccountDisabled', data: { serviceAccountId, reason } }
  t.same(account(full, disabled), { ...owned, status: 'disabled' })
  t.same(account(full, disabled, { type: 'ServiceAccountEnabled', data: { serviceAccountId, reason } }), owned)
})

t.test('an API key is shown with what narrows it and when it was used', async t => {
  const [keyId, owner] = [id(7), { kind: 'user' as const, id: userId }]
  const key = (...events: ApiKeyEvent[]) =>
    events.reduce<ApiKeyState | undefined>((state, event) => evolveApiKey(state, event), undefined)
  const data = { keyId, name: 'laptop', owner, secretHash: hash, expiresAt: at(23) }
  const issued: ApiKeyEvent = { type: 'ApiKeyIssued', data }
  const shown = { ...data, permissions: null, scopes: null, status: 'active', lastUsedAt: null }
  t.same(key(issued), shown)
  const narrow = { permissions: ['run:read'], scopes: [{ kind: 'labels' as const, labels: 'env=prod' }] }
  t.same(key({ type: 'ApiKeyIssued', data: { ...data, ...narrow } }), { ...shown, ...narrow })
  t.same(key(issued, { type: 'ApiKeyUsed', data: { keyId, at: at(3) } }), { ...shown, lastUsedAt: at(3) })
  const stopped: ApiKeyEvent = { type: 'ApiKeyStopped', data: { keyId, name: 'laptop', owner } }
  t.same(key(issued, stopped), shown, 'whether it counts is asked of its owner')
  t.same(key(issued, { type: 'ApiKeyRevoked', data: { keyId, reason } }), { ...shown, status: 'revoked' })
})

t.test('a session is shown with where it is from and how it ended', async t => {
  const sessionId = id(8)
  const origin = { channel: 'api' as const, ip: '192.0.2.7', userAgent: 'a browser' }
  const sessionFrom = (from: { channel: 'api'; ip?: string; userAgent?: string }, ...events: SessionEvent[]) =>
    events.reduce<SessionRow | undefined>((row, event) => evolveSession(row, event, { origin: from }), undefined)
  const data = { sessionId, userId, method: 'oidc' as const, mfa: true, startedAt: at(1), expiresAt: at(13) }
  const started: SessionEvent = { type: 'SessionStarted', data: { ...data, refreshHash: hash, idleSeconds: 1_800 } }
  const shown = {
    ...{ ...data, name: sessionId, status: 'active', lastUsedAt: at(1), endedBy: null },
    ...{ ip: '192.0.2.7', userAgent: 'a browser' },
  }
  t.same(sessionFrom(origin, started), shown, 'nothing that a token is compared with')
  t.match(sessionFrom({ channel: 'api' }, started), { ip: null, userAgent: null })
  const then = (...events: SessionEvent[]) => sessionFrom(origin, started, ...events)
  const rotated: SessionEvent = {
    type: 'RefreshTokenRotated',
    data: { sessionId, userId, refreshHash: hash, at: at(2) },
  }
  t.same(then(rotated), { ...shown, lastUsedAt: at(2) })
  const reused: SessionEvent = { type: 'RefreshTokenReuseDetected', data: { sessionId, userId, usedHash: hash } }
  t.same(then(reused), shown)
  const revoked: SessionEvent = { type: 'SessionRevoked', data: { sessionId, userId, why: 'reuse' } }
  t.same(then(reused, revoked), { ...shown, status: 'ended', endedBy: 'reuse' })
  const out: SessionEvent = { type: 'LoggedOut', data: { sessionId, userId } }
  t.same(then(out), { ...shown, status: 'ended', endedBy: 'signed-out' })
})

t.test('nothing comes of an event on somebody who was never there', async t => {
  const missing = { message: /nothing this event could change/ }
  t.throws(() => evolveUser(undefined, passphrase, { at: at(1) }), missing)
  t.throws(
    () =>
      evolveSession(
        undefined,
        { type: 'LoggedOut', data: { sessionId: id(8), userId } },
        { origin: { channel: 'api' } },
      ),
    missing,
  )
})
