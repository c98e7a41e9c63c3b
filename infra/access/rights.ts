import type { PrincipalRef } from '../../schemas/access.ts'
import { builtInRoles, isBuiltInRole } from '../../schemas/permissions.ts'
import { appliesTo, both, everything } from './scopes.ts'
import { type AccessState, type Allowance, type Held, principalKey, type Rights } from './types.ts'

const nothing: Rights = { active: false, until: Number.NEGATIVE_INFINITY, held: new Map() }

/** The permissions of a role; none of one that is retired or was never defined. */
export function permissionsOf(state: AccessState, role: string): readonly string[] {
  if (isBuiltInRole(role)) return builtInRoles[role].permissions
  const row = state.rows.role.get(role)
  return row?.status === 'active' ? row.permissions : []
}

/** What somebody holds, whether by themselves, by a group, or as the key of an owner. Grants that the clock ends are in it. */
export function rightsOf(state: AccessState, who: PrincipalRef): Rights {
  const key = principalKey(who)
  const known = state.rights.get(key)
  if (known) return known
  const rights = workedOut(state, who)
  state.rights.set(key, rights)
  return rights
}

function workedOut(state: AccessState, who: PrincipalRef): Rights {
  const key = principalKey(who)
  const { active, expiresAt, owner, within } = state.principals.get(key) ?? { active: true }
  if (!active) return nothing
  const held = new Map<string, Held[]>()
  for (const grant of [...grantsOf(state, who), ...emergencies(state, key)])
    hold(held, permissionsOf(state, grant.role), grant)
  const until = expiresAt ?? Number.POSITIVE_INFINITY
  if (!owner) return { active, until, held }
  const owned = rightsOf(state, owner)
  if (!owned.active) return nothing
  for (const [permission, grants] of owned.held)
    for (const grant of grants) for (const part of narrowed(permission, grant, within)) hold(held, [permission], part)
  return { active, until: Math.min(until, owned.until), held }
}

function hold(held: Map<string, Held[]>, permissions: readonly string[], grant: Held): void {
  for (const permission of permissions) {
    if (!appliesTo(permission, grant.scope)) continue
    const list = held.get(permission)
    if (list) list.push(grant)
    else held.set(permission, [grant])
  }
}

function narrowed(permission: string, grant: Held, within: readonly Allowance[] | undefined): Held[] {
  // Emergencies are for people, not for what runs in their name.
  if (grant.via === emergency) return []
  if (!within) return [grant]
  const fitting = within.filter(({ permissions }) => permissions === undefined || permissions.includes(permission))
  return fitting.map(({ scope }) => ({ ...grant, scope: both(grant.scope, scope) }))
}

/** The grants of somebody and of the groups they are in. */
export function grantsOf(state: AccessState, who: PrincipalRef): Held[] {
  const key = principalKey(who)
  const own = ofKey(state, key)
  const groups = [...(state.groupsOf.get(key) ?? [])]
  return [...own, ...groups.flatMap(id => ofKey(state, `group:${id}`).map(held => ({ ...held, via: id })))]
}

function ofKey(state: AccessState, key: string): Held[] {
  return [...(state.grantsOf.get(key) ?? [])].flatMap(id => {
    const row = state.rows.grant.get(id)
    if (row?.status !== 'active') return []
    const until = row.expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(row.expiresAt)
    return [{ grantId: id, role: row.role, scope: row.scope, until }]
  })
}

/** How what is held by breaking the glass came. */
export const emergency = 'break-glass'

/** All rights, for as long as somebody has taken them; the clock ends that by itself. */
function emergencies(state: AccessState, key: string): Held[] {
  return [...(state.breakGlassOf.get(key) ?? [])].flatMap(id => {
    const row = state.rows.breakglass.get(id)
    if (row?.status !== 'active') return []
    const until = Date.parse(row.until)
    return [{ grantId: id, role: 'administrator', via: emergency, scope: everything, until }]
  })
}
