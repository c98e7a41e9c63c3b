import type { PrincipalRef, Scope } from '../../schemas/access.ts'
import { aboutNothing } from '../../schemas/permissions.ts'
import type { Holder } from './holder.ts'
import { grantsOf, permissionsOf, rightsOf } from './rights.ts'
import { appliesTo, liesWithin, scopeText } from './scopes.ts'
import type { AccessState, HeldScope } from './types.ts'

type Given = { permissions: readonly string[]; scope: HeldScope; until: number }

/**
 * What of this somebody does not hold there, and for as long, and so may not hand on: `run:trigger on targets env=prod`.
 * Undefined when they hold all of it, or may grant anything.
 */
export function lacking(holder: Holder, { permissions, scope, until }: Given): string | undefined {
  if (holder.permits('grant:any')) return undefined
  // What means nothing there gives nothing.
  const given = permissions.filter(permission => appliesTo(permission, scope))
  const missing = given.find(permission => !holdsThere(holder, permission, scope, until))
  return missing === undefined ? undefined : `${missing} on ${scopeText(scope)}`
}

function holdsThere(holder: Holder, permission: string, scope: HeldScope, until: number): boolean {
  const held = holder.scopes(permission, until)
  if (aboutNothing.has(permission)) return held.length > 0
  // What holds in both of two scopes holds in either.
  const parts: readonly HeldScope[] = scope.kind === 'all-of' ? scope.of : [scope]
  return parts.some(part => part.kind !== 'all-of' && held.some(own => liesWithin(part as Scope, own)))
}

/** The same of all that somebody, or a group, was granted: who may act as them holds all of it. */
export function lackingOf(holder: Holder, state: AccessState, who: PrincipalRef): string | undefined {
  for (const { role, scope, until } of grantsOf(state, who)) {
    const missing = lacking(holder, { permissions: permissionsOf(state, role), scope, until })
    if (missing !== undefined) return missing
  }
  return undefined
}

/** Who has everything, everywhere and without end, by a grant. */
export function administrators(state: AccessState): PrincipalRef[] {
  const rows = [...state.rows.grant.values()].filter(
    ({ role, status, scope, expiresAt }) =>
      role === 'administrator' && status === 'active' && scope.kind === 'everything' && expiresAt === null,
  )
  const found = rows.flatMap(({ principal }) =>
    principal.kind === 'group' ? (state.rows.group.get(principal.id)?.members ?? []) : [principal],
  )
  return found.filter(who => rightsOf(state, who).active)
}
