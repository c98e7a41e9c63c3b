import type { PrincipalRef } from '../../schemas/access.ts'
import { ofEverybody } from '../../schemas/permissions.ts'
import { emergency, rightsOf } from './rights.ts'
import { covers, everything } from './scopes.ts'
import { type AccessState, type Held, type HeldScope, type Judgement, principalKey, type Resource } from './types.ts'

/**
 * Whether somebody may do something: on this one thing, or without one, on anything at all. `now`: milliseconds since
 * 1970. Denied unless an active grant says otherwise; there are no grants that take away.
 */
export function judge(
  state: AccessState,
  who: PrincipalRef,
  permission: string,
  resource: Resource | undefined,
  now: number,
): Judgement {
  const { active, until, held } = rightsOf(state, who)
  if (!active) return { allowed: false, why: 'inactive' }
  if (until <= now) return { allowed: false, why: 'expired' }
  if (ofEverybody.has(permission)) return { allowed: true, why: 'everybody' }
  const grants = held.get(permission) ?? []
  let why: 'not-granted' | 'out-of-scope' | 'expired' = 'not-granted'
  for (const grant of grants) {
    const fits = resource === undefined || covers(grant.scope, resource)
    if (fits && grant.until > now) return granted(grant)
    if (fits) why = 'expired'
    else if (why === 'not-granted') why = 'out-of-scope'
  }
  return { allowed: false, why: ownerMay(state, who, permission, resource, now) ? 'outside-key' : why }
}

/** Whether it is only by being narrowed that a key may not. */
function ownerMay(state: AccessState, who: PrincipalRef, ...asked: [string, Resource | undefined, number]): boolean {
  const owner = state.principals.get(principalKey(who))?.owner
  const judged = owner && judge(state, owner, ...asked)
  return judged?.why === 'granted' && judged.via !== emergency
}

function granted({ grantId, role, via, until }: Held): Judgement {
  return {
    ...{ allowed: true, why: 'granted', grantId, role },
    ...(via !== undefined && { via }),
    ...(until !== Number.POSITIVE_INFINITY && { until: new Date(until).toISOString() }),
  }
}

/**
 * Where somebody holds a permission now and still will at `at` by the grants there are; just everything when that is
 * among it.
 */
export function scopesOf(
  state: AccessState,
  who: PrincipalRef,
  permission: string,
  now: number,
  at = now,
): readonly HeldScope[] {
  const { active, until, held } = rightsOf(state, who)
  if (!active || until <= now) return []
  if (ofEverybody.has(permission)) return [everything]
  const scopes = (held.get(permission) ?? [])
    .filter(grant => grant.until > now && grant.until >= at)
    .map(({ scope }) => scope)
  return scopes.some(({ kind }) => kind === 'everything') ? [everything] : scopes
}

/** The roles somebody has now, anywhere. */
export function rolesOf(state: AccessState, who: PrincipalRef, now: number): string[] {
  const { held, active, until } = rightsOf(state, who)
  if (!active || until <= now) return []
  const roles = new Set<string>()
  for (const grants of held.values()) for (const grant of grants) if (grant.until > now) roles.add(grant.role)
  return [...roles].sort()
}
