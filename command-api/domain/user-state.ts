import type { UserEvent } from '../../schemas/user.ts'

export type KnownUser = {
  status: 'invited' | 'active' | 'deactivated' | 'erased'
  userId: string
  loginIndex: string
  /** The one link that sets a passphrase: a newer one takes its place. */
  link: { hash: string; expiresAt: string } | undefined
  /** Which of the passphrases in the vault counts. */
  verifierId: string | undefined
  changeRequired: boolean
  lockedUntil: string | undefined
  factors: ReadonlyMap<string, 'totp' | 'passkey'>
  recovery: { setId: string; left: number } | undefined
  /** OpenID provider that vouches for this person. */
  issuer: string | undefined
  legalHold: boolean
  erasureDeferred: boolean
}
export type User = { status: 'absent' } | KnownUser

const unknown = {
  link: undefined,
  verifierId: undefined,
  changeRequired: false,
  lockedUntil: undefined,
  factors: new Map(),
  recovery: undefined,
  issuer: undefined,
  legalHold: false,
  erasureDeferred: false,
}

export function evolveUser(state: User, event: UserEvent): User {
  if (event.type === 'UserInvited') {
    const { userId, loginIndex, linkHash, linkExpiresAt } = event.data
    return { ...unknown, status: 'invited', userId, loginIndex, link: { hash: linkHash, expiresAt: linkExpiresAt } }
  }
  if (event.type === 'UserRegistered') return { ...unknown, status: 'active', ...event.data }
  return state.status === 'absent' ? state : changed(state, event)
}

type Change = Exclude<UserEvent, { type: 'UserInvited' | 'UserRegistered' }>

function changed(state: KnownUser, event: Change): KnownUser {
  switch (event.type) {
    case 'UserProfileChanged':
      return { ...state, loginIndex: event.data.loginIndex ?? state.loginIndex }
    case 'UserPasswordResetRequested':
      return { ...state, link: { hash: event.data.linkHash, expiresAt: event.data.linkExpiresAt } }
    case 'UserPasswordChanged':
      return { ...state, status: 'active', verifierId: event.data.verifierId, link: undefined, changeRequired: false }
    case 'UserPasswordChangeRequired':
      return { ...state, changeRequired: true }
    case 'UserLocked':
      return { ...state, lockedUntil: event.data.until }
    case 'UserUnlocked':
      return { ...state, lockedUntil: undefined }
    case 'UserDeactivated':
      return { ...state, status: 'deactivated', link: undefined }
    case 'UserReactivated':
      return { ...state, status: state.verifierId === undefined && state.issuer === undefined ? 'invited' : 'active' }
    case 'LegalHoldPlaced':
      return { ...state, legalHold: true }
    case 'LegalHoldReleased':
      return { ...state, legalHold: false }
    case 'ErasureDeferred':
      return { ...state, erasureDeferred: true }
    case 'UserPersonalDataErased':
      return { ...state, ...unknown, status: 'erased' }
    case 'MfaFactorEnrolled':
    case 'MfaFactorRemoved':
    case 'RecoveryCodesIssued':
    case 'RecoveryCodeUsed':
      return withFactors(state, event)
  }
}

type FactorChange = Extract<
  UserEvent,
  { type: 'MfaFactorEnrolled' | 'MfaFactorRemoved' | 'RecoveryCodesIssued' | 'RecoveryCodeUsed' }
>

function withFactors(state: KnownUser, event: FactorChange): KnownUser {
  switch (event.type) {
    case 'MfaFactorEnrolled':
      return { ...state, factors: new Map([...state.factors, [event.data.factorId, event.data.kind]]) }
    case 'MfaFactorRemoved': {
      const factors = new Map([...state.factors].filter(([factorId]) => factorId !== event.data.factorId))
      // Codes that stand in for a second factor mean nothing without one.
      return { ...state, factors, recovery: factors.size === 0 ? undefined : state.recovery }
    }
    case 'RecoveryCodesIssued':
      return { ...state, recovery: { setId: event.data.setId, left: event.data.count } }
    case 'RecoveryCodeUsed':
      return { ...state, recovery: { setId: event.data.setId, left: event.data.left } }
  }
}
