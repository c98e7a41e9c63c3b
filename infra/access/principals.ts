import type { PrincipalRef } from '../../schemas/access.ts'
import type { ApiKeyEvent, ApiKeyRow } from '../../schemas/api-key.ts'
import type { ServiceAccountEvent, ServiceAccountRow } from '../../schemas/service-account.ts'
import type { UserEvent, UserRow } from '../../schemas/user.ts'
import { everything } from './scopes.ts'
import type { Allowance, PrincipalFacts } from './types.ts'

/** Stream categories of those to whom roles can be granted, with what they are called in a grant. */
export const principalKinds = {
  user: 'user',
  serviceaccount: 'service-account',
  apikey: 'api-key',
} as const satisfies Record<string, PrincipalRef['kind']>
export type PrincipalCategory = keyof typeof principalKinds
export type PrincipalRows = { user: UserRow; serviceaccount: ServiceAccountRow; apikey: ApiKeyRow }

const active: PrincipalFacts = { active: true }

/** Undefined for an event that changes nothing about what somebody may do. */
export function userAfter(event: UserEvent): PrincipalFacts | undefined {
  if (event.type === 'UserDeactivated' || event.type === 'UserPersonalDataErased') return { active: false }
  const isActive = event.type === 'UserInvited' || event.type === 'UserRegistered' || event.type === 'UserReactivated'
  return isActive ? active : undefined
}

export function serviceAccountAfter(before: PrincipalFacts = active, event: ServiceAccountEvent): PrincipalFacts {
  switch (event.type) {
    case 'ServiceAccountCreated':
      return { active: true, answering: event.data.owner }
    case 'ServiceAccountOwnerChanged':
      return { ...before, answering: event.data.owner }
    case 'ServiceAccountOrphaned':
      return { ...before, answering: undefined }
    case 'ServiceAccountDisabled':
      return { ...before, active: false }
    case 'ServiceAccountEnabled':
      return { ...before, active: true }
  }
}

export function apiKeyAfter(before: PrincipalFacts | undefined, event: ApiKeyEvent): PrincipalFacts | undefined {
  switch (event.type) {
    case 'ApiKeyIssued':
      return keyFacts({ ...event.data, status: 'active' })
    case 'ApiKeyRevoked':
      return { ...before, active: false }
    case 'ApiKeyStopped':
    case 'ApiKeyUsed':
      return undefined
  }
}

/** The same of a row of the read models. */
export function factsOfRow(row: PrincipalRows[PrincipalCategory]): PrincipalFacts {
  if ('keyId' in row) return keyFacts(row)
  return { active: row.status === 'active' || row.status === 'invited' }
}

type Key = Pick<ApiKeyRow, 'owner' | 'expiresAt' | 'status'> & Narrowing
/** Absent in what was issued, or projected, before there were any. */
type Narrowing = { [K in 'permissions' | 'scopes']?: ApiKeyRow[K] | undefined }

function keyFacts(key: Key): PrincipalFacts {
  return {
    active: key.status === 'active',
    expiresAt: Date.parse(key.expiresAt),
    owner: key.owner,
    within: allowances(key),
  }
}

function allowances({ permissions, scopes }: Narrowing): Allowance[] | undefined {
  if (!permissions && !scopes) return undefined
  return (scopes ?? [everything]).map(scope => ({ permissions: permissions ?? undefined, scope }))
}
