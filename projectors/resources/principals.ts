import type { ApiKeyEvent, ApiKeyRow } from '../../schemas/api-key.ts'
import type { EventMetadata } from '../../schemas/kernel.ts'
import type { ServiceAccountEvent, ServiceAccountRow } from '../../schemas/service-account.ts'
import type { SessionEvent, SessionRow } from '../../schemas/session.ts'
import type { UserEvent, UserRow } from '../../schemas/user.ts'
import { required } from './required.ts'

/** Beside what is shown, what a key that is presented is compared with. */
export type ApiKeyState = ApiKeyRow & { secretHash: string }
/** Beside what is shown, which factors and what stands in for the login name. */
export type UserState = UserRow & { loginIndex: string | null; factors: string[]; registered: boolean }

const nobody = {
  secondFactor: false,
  recoveryCodesLeft: 0,
  passphraseChangeRequired: false,
  lockedUntil: null,
  legalHold: false,
  erasureDeferred: false,
  certificate: null,
  sessionsFrom: null,
  factors: [],
}

/** A user as the events tell it: who it is, is in the vault. */
export function evolveUser(
  before: UserState | undefined,
  event: UserEvent,
  { at }: Pick<EventMetadata, 'at'>,
): UserState {
  if (event.type === 'UserInvited' || event.type === 'UserRegistered') {
    const { userId, loginIndex } = event.data
    const registered = event.type === 'UserRegistered'
    return { userId, name: userId, loginIndex, ...nobody, registered, status: registered ? 'active' : 'invited' }
  }
  const user = required(before)
  switch (event.type) {
    case 'UserProfileChanged':
      return { ...user, loginIndex: event.data.loginIndex ?? user.loginIndex }
    case 'UserPasswordResetRequested':
      return user
    case 'UserPasswordChanged':
      return { ...user, status: 'active', registered: true, passphraseChangeRequired: false, sessionsFrom: at }
    case 'UserPasswordChangeRequired':
      return { ...user, passphraseChangeRequired: true }
    case 'UserLocked':
      return { ...user, lockedUntil: event.data.until }
    case 'UserUnlocked':
      return { ...user, lockedUntil: null }
    case 'UserDeactivated':
      return { ...user, status: 'deactivated', sessionsFrom: at }
    case 'UserReactivated':
      return { ...user, status: user.registered ? 'active' : 'invited' }
    case 'LegalHoldPlaced':
      return { ...user, legalHold: true }
    case 'LegalHoldReleased':
      return { ...user, legalHold: false }
    case 'ErasureDeferred':
      return { ...user, erasureDeferred: true }
    case 'UserPersonalDataErased': {
      const { certificate } = event.data
      return { ...user, ...nobody, status: 'erased', loginIndex: null, certificate, sessionsFrom: at }
    }
    case 'MfaFactorEnrolled':
      return { ...user, factors: [...user.factors, event.data.factorId], secondFactor: true }
    case 'MfaFactorRemoved': {
      const factors = user.factors.filter(factorId => factorId !== event.data.factorId)
      const left = factors.length === 0 ? { secondFactor: false, recoveryCodesLeft: 0 } : {}
      return { ...user, ...left, factors, sessionsFrom: at }
    }
    case 'RecoveryCodesIssued':
      return { ...user, recoveryCodesLeft: event.data.count }
    case 'RecoveryCodeUsed':
      return { ...user, recoveryCodesLeft: event.data.left }
  }
}

export function evolveServiceAccount(
  before: ServiceAccountRow | undefined,
  event: ServiceAccountEvent,
): ServiceAccountRow {
  if (event.type === 'ServiceAccountCreated') {
    const { serviceAccountId, name, description = null, owner = null } = event.data
    return { serviceAccountId, name, description, owner, ownerless: owner === null, status: 'active' }
  }
  const account = required(before)
  switch (event.type) {
    case 'ServiceAccountOwnerChanged':
      return { ...account, owner: event.data.owner, ownerless: false }
    case 'ServiceAccountOrphaned':
      return { ...account, ownerless: true }
    case 'ServiceAccountDisabled':
      return { ...account, status: 'disabled' }
    case 'ServiceAccountEnabled':
      return { ...account, status: 'active' }
  }
}

export function evolveApiKey(before: ApiKeyState | undefined, event: ApiKeyEvent): ApiKeyState {
  if (event.type === 'ApiKeyIssued') {
    const { permissions = null, scopes = null, ...issued } = event.data
    return { ...issued, permissions, scopes, status: 'active', lastUsedAt: null }
  }
  const key = required(before)
  switch (event.type) {
    case 'ApiKeyRevoked':
      return { ...key, status: 'revoked' }
    case 'ApiKeyStopped':
      return key
    case 'ApiKeyUsed':
      return { ...key, lastUsedAt: event.data.at }
  }
}

export function evolveSession(
  before: SessionRow | undefined,
  event: SessionEvent,
  { origin }: Pick<EventMetadata, 'origin'>,
): SessionRow {
  if (event.type === 'SessionStarted') {
    const { sessionId, userId, method, mfa, startedAt, expiresAt } = event.data
    const from = { ip: origin.ip ?? null, userAgent: origin.userAgent ?? null }
    const times = { startedAt, lastUsedAt: startedAt, expiresAt }
    return { sessionId, name: sessionId, userId, status: 'active', method, mfa, ...times, ...from, endedBy: null }
  }
  const session = required(before)
  switch (event.type) {
    case 'RefreshTokenRotated':
      return { ...session, lastUsedAt: event.data.at }
    case 'RefreshTokenReuseDetected':
      return session
    case 'SessionRevoked':
      return { ...session, status: 'ended', endedBy: event.data.why }
    case 'LoggedOut':
      return { ...session, status: 'ended', endedBy: 'signed-out' }
  }
}
