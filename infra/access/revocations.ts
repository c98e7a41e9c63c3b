import type { PrincipalRef } from '../../schemas/access.ts'
import type { Recorded } from '../../schemas/events.ts'
import type { Revocation } from '../../schemas/revocation.ts'
import { putPrincipal, putVersion } from './state.ts'
import { type AccessState, principalKey } from './types.ts'

type Over = Revocation['over']

/** What an event takes away; nothing for all that gives something, or ends by the clock anyway. */
export function revocationsOf(event: Recorded): Revocation[] {
  const { stream, revision, metadata } = event
  return overOf(event).map(over => ({ stream, revision: String(revision), at: metadata.at, over }))
}

function overOf({ type, data }: Recorded): Over[] {
  switch (type) {
    case 'RoleRevoked':
      return [{ kind: 'grant', grantId: data.grantId }]
    case 'RolePermissionRemoved':
      return [{ kind: 'role', role: data.role, permission: data.permission }]
    case 'RoleRetired':
      return [{ kind: 'role', role: data.role }]
    case 'GroupMemberRemoved':
      return [{ kind: 'member', groupId: data.groupId, member: data.member }]
    case 'UserDeactivated':
    case 'UserPersonalDataErased':
      return [ended('user', data.userId), { kind: 'sessions', userId: data.userId }]
    case 'UserPasswordChanged':
    case 'MfaFactorRemoved':
      return [{ kind: 'sessions', userId: data.userId }]
    case 'ServiceAccountDisabled':
      return [ended('service-account', data.serviceAccountId)]
    case 'ApiKeyRevoked':
      return [ended('api-key', data.keyId)]
    case 'BreakGlassEnded':
      return [{ kind: 'break-glass', breakGlassId: data.breakGlassId }]
    case 'SessionRevoked':
    case 'LoggedOut':
      return [{ kind: 'session', sessionId: data.sessionId }]
  }
  return []
}

const ended = (kind: PrincipalRef['kind'], id: string): Over => ({ kind: 'principal', principal: { kind, id } })

/** Whether the state has come as far itself: then it says what holds, this and whatever came after. */
export const isTakenIn = (state: AccessState, { stream, revision }: Revocation): boolean =>
  (state.revisions.get(stream) ?? -1n) >= BigInt(revision)

/** Takes it away in a state that has not come as far. What is not known there gives nothing that could be taken away. */
export function takeAway(state: AccessState, { stream, over }: Revocation): void {
  const revision = state.revisions.get(stream) ?? 0n
  switch (over.kind) {
    case 'grant': {
      const row = state.rows.grant.get(over.grantId)
      if (row) putVersion(state, 'grant', { id: over.grantId, revision, state: { ...row, status: 'revoked' } })
      return
    }
    case 'role': {
      const row = state.rows.role.get(over.role)
      const permissions = row?.permissions.filter(each => over.permission !== undefined && each !== over.permission)
      if (row) putVersion(state, 'role', { id: over.role, revision, state: { ...row, permissions } })
      return
    }
    case 'member': {
      const row = state.rows.group.get(over.groupId)
      const members = row?.members.filter(each => principalKey(each) !== principalKey(over.member))
      if (row) putVersion(state, 'group', { id: over.groupId, revision, state: { ...row, members } })
      return
    }
    case 'principal': {
      const known = state.principals.get(principalKey(over.principal))
      putPrincipal(state, over.principal, { ...known, active: false })
      return
    }
    case 'break-glass': {
      const row = state.rows.breakglass.get(over.breakGlassId)
      if (row) putVersion(state, 'breakglass', { id: over.breakGlassId, revision, state: { ...row, status: 'ended' } })
      return
    }
    case 'session':
    case 'sessions':
      return
  }
}
