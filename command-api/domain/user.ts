import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { ErasureCertificate, UserCommand, UserEvent, UserInternalCommand } from '../../schemas/user.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'
import { evolveUser, type KnownUser, type User } from './user-state.ts'

/** What the vault keeps and must not be in the log never comes this far. */
type Stripped<C> = C extends { type: infer T; data: infer D }
  ? { type: T; data: Omit<D, 'loginName' | 'displayName' | 'email'> & ProfileChange<T> }
  : never
type ProfileChange<T> = T extends 'change-user-profile'
  ? { fields: Array<'loginName' | 'displayName' | 'email'> }
  : unknown
export type UserDecision = Stripped<Identified<UserCommand, 'userId'>> | UserInternalCommand
/** What the vault answered, and the digest of a link that is given out. */
export type UserFacts = {
  loginIndex?: string | undefined
  /** Of those given, the ones that are not what they were. */
  changedFields?: ReadonlyArray<'loginName' | 'displayName' | 'email'> | undefined
  linkHash?: string | undefined
  certificate?: ErasureCertificate | undefined
}
type DataOf<T extends UserDecision['type']> = Extract<UserDecision, { type: T }>['data']

export const user: Decider<User, UserDecision, UserEvent, UserFacts> = {
  category: 'user',
  streamOf: data => streams.user(data.userId),
  initial: { status: 'absent' },
  evolve: evolveUser,
  decide(command, state, meta, facts) {
    if (command.type === 'create-user') return invite(command.data, state, meta, facts)
    if (command.type === 'register-external-user') return registerExternal(command.data, state)
    if (state.status === 'absent') throw new DomainError('user-not-found', `no user ${command.data.userId}`)
    switch (command.type) {
      case 'change-user-profile':
        unerased(state)
        return changeProfile(command.data, facts)
      case 'create-reset-link':
        return resetLink(command.data, active(state), meta, facts)
      case 'set-passphrase':
        return setPassphrase(command.data, state, meta)
      case 'require-passphrase-change':
        if (active(state).verifierId === undefined || state.changeRequired) return []
        return [{ type: 'UserPasswordChangeRequired', data: command.data }]
      case 'lock-user':
        return [{ type: 'UserLocked', data: command.data }]
      case 'unlock-user':
        return state.lockedUntil === undefined ? [] : [{ type: 'UserUnlocked', data: command.data }]
      case 'deactivate-user':
        return state.status === 'deactivated' || state.status === 'erased'
          ? []
          : [{ type: 'UserDeactivated', data: command.data }]
      case 'reactivate-user':
        return unerased(state).status === 'deactivated' ? [{ type: 'UserReactivated', data: command.data }] : []
      case 'place-legal-hold':
        return unerased(state).legalHold ? [] : [{ type: 'LegalHoldPlaced', data: command.data }]
      case 'release-legal-hold':
        return releaseHold(command.data, state, facts)
      case 'erase-personal-data':
        return erase(command.data, state, facts)
      case 'enrol-second-factor':
      case 'remove-second-factor':
      case 'remove-second-factors':
      case 'issue-recovery-codes':
      case 'use-recovery-code':
        return factors(command, active(state))
    }
  },
}

function invite(data: DataOf<'create-user'>, state: User, meta: Meta, facts: UserFacts): UserEvent[] {
  const { userId, linkSeconds } = data
  const { loginIndex, linkHash } = facts
  if (loginIndex === undefined || linkHash === undefined) throw new Error('a user is invited by index and link')
  if (state.status !== 'absent') throw new DomainError('user-already-exists', `there is already a user ${userId}`)
  return [{ type: 'UserInvited', data: { userId, loginIndex, linkHash, linkExpiresAt: later(meta, linkSeconds) } }]
}

function registerExternal(data: DataOf<'register-external-user'>, state: User): UserEvent[] {
  return state.status === 'absent' ? [{ type: 'UserRegistered', data }] : []
}

function changeProfile(data: DataOf<'change-user-profile'>, { loginIndex, changedFields }: UserFacts): UserEvent[] {
  const { userId } = data
  const fields = data.fields.filter(field => changedFields?.includes(field))
  if (fields.length === 0) return []
  return [{ type: 'UserProfileChanged', data: { userId, fields, ...(loginIndex !== undefined && { loginIndex }) } }]
}

function resetLink(
  data: DataOf<'create-reset-link'>,
  state: KnownUser,
  meta: Meta,
  { linkHash }: UserFacts,
): UserEvent[] {
  if (linkHash === undefined) throw new Error('a link is given out by its hash')
  if (state.link?.hash === linkHash) return []
  const { userId, reason, linkSeconds } = data
  const linkExpiresAt = later(meta, linkSeconds)
  return [{ type: 'UserPasswordResetRequested', data: { userId, linkHash, linkExpiresAt, reason } }]
}

/** Whether a link sets a passphrase now. Says nothing about why not: whoever holds a bad one is nobody. */
export const linkIsGood = (state: User, linkHash: string, at: string): state is KnownUser =>
  state.status !== 'absent' &&
  (state.status === 'invited' || state.status === 'active') &&
  state.link?.hash === linkHash &&
  Date.parse(at) < Date.parse(state.link.expiresAt)

function setPassphrase(data: DataOf<'set-passphrase'>, state: KnownUser, { at }: Meta): UserEvent[] {
  const { userId, verifierId, linkHash } = data
  if (linkHash === undefined) {
    if (active(state).status === 'invited') throw new DomainError('user-not-registered', 'the link comes first')
    return [{ type: 'UserPasswordChanged', data: { userId, verifierId, by: 'user' } }]
  }
  if (!linkIsGood(state, linkHash, at)) throw new DomainError('link-invalid', 'ask for a new one')
  return [{ type: 'UserPasswordChanged', data: { userId, verifierId, by: 'link' } }]
}

function releaseHold(data: DataOf<'release-legal-hold'>, state: KnownUser, facts: UserFacts): UserEvent[] {
  if (!state.legalHold) return []
  const released: UserEvent = { type: 'LegalHoldReleased', data }
  return state.erasureDeferred ? [released, erased(data, facts)] : [released]
}

function erase(data: DataOf<'erase-personal-data'>, state: KnownUser, facts: UserFacts): UserEvent[] {
  if (state.status === 'erased') return []
  if (!state.legalHold) return [erased(data, facts)]
  return state.erasureDeferred ? [] : [{ type: 'ErasureDeferred', data }]
}

/** Whether this command, on this state, is what destroys the key: asked before the vault is. */
export const erasesNow = (type: string, state: User): boolean =>
  state.status !== 'absent' &&
  state.status !== 'erased' &&
  ((type === 'erase-personal-data' && !state.legalHold) ||
    (type === 'release-legal-hold' && state.legalHold && state.erasureDeferred))

function erased({ userId, reason }: { userId: string; reason: string }, { certificate }: UserFacts): UserEvent {
  if (!certificate) throw new Error('the vault erases first')
  return { type: 'UserPersonalDataErased', data: { userId, reason, certificate } }
}

const MOST_FACTORS = 10

type FactorCommand = Extract<
  UserDecision,
  {
    type:
      | 'enrol-second-factor'
      | 'remove-second-factor'
      | 'remove-second-factors'
      | 'issue-recovery-codes'
      | 'use-recovery-code'
  }
>

function factors(command: FactorCommand, state: KnownUser): UserEvent[] {
  switch (command.type) {
    case 'enrol-second-factor':
      if (state.factors.has(command.data.factorId)) return []
      if (state.factors.size >= MOST_FACTORS)
        throw new DomainError('conflict', `a user has at most ${MOST_FACTORS} second factors`)
      return [{ type: 'MfaFactorEnrolled', data: command.data }]
    case 'remove-second-factor':
      if (!state.factors.has(command.data.factorId))
        throw new DomainError('second-factor-unknown', `no second factor ${command.data.factorId}`)
      return [{ type: 'MfaFactorRemoved', data: command.data }]
    case 'remove-second-factors': {
      const { userId, reason } = command.data
      return [...state.factors.keys()].map(factorId => ({
        type: 'MfaFactorRemoved' as const,
        data: { userId, factorId, reason },
      }))
    }
    case 'issue-recovery-codes':
      return state.recovery?.setId === command.data.setId ? [] : [{ type: 'RecoveryCodesIssued', data: command.data }]
    case 'use-recovery-code':
      if (state.recovery?.setId !== command.data.setId)
        throw new DomainError('second-factor-unknown', 'these recovery codes were replaced')
      return [{ type: 'RecoveryCodeUsed', data: command.data }]
  }
}

function unerased(state: KnownUser): KnownUser {
  if (state.status === 'erased') throw new DomainError('user-erased', `the personal data of ${state.userId} is erased`)
  return state
}

function active(state: KnownUser): KnownUser {
  if (unerased(state).status === 'deactivated')
    throw new DomainError('user-deactivated', `the user ${state.userId} is deactivated`)
  return state
}

const later = ({ at }: Meta, seconds: number): string => new Date(Date.parse(at) + seconds * 1000).toISOString()
