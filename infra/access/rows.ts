import type { GrantEvent, GrantRow } from '../../schemas/grant.ts'
import type { GroupEvent, GroupRow } from '../../schemas/group.ts'
import type { RoleEvent, RoleRow } from '../../schemas/role.ts'

/** @throws Error for an event on something whose first event was never seen. */
function known<Row>(before: Row | undefined): Row {
  if (before === undefined) throw new Error('there is nothing this event could change')
  return before
}

/** A role as its events tell it. */
export function evolveRole(before: RoleRow | undefined, event: RoleEvent): RoleRow {
  if (event.type === 'RoleDefined') {
    const { role, description, permissions } = event.data
    return { role, name: role, description: description ?? null, permissions, status: 'active' }
  }
  const row = known(before)
  switch (event.type) {
    case 'RolePermissionAdded':
      return { ...row, permissions: [...row.permissions, event.data.permission].toSorted() }
    case 'RolePermissionRemoved':
      return { ...row, permissions: row.permissions.filter(each => each !== event.data.permission) }
    case 'RoleRetired':
      return { ...row, status: 'retired' }
  }
}

/** A group as its events tell it. */
export function evolveGroup(before: GroupRow | undefined, event: GroupEvent): GroupRow {
  if (event.type === 'GroupCreated') {
    const { groupId, name, description } = event.data
    return { groupId, name, description: description ?? null, members: [], status: 'active' }
  }
  const row = known(before)
  const { member } = event.data
  const others = row.members.filter(each => each.kind !== member.kind || each.id !== member.id)
  switch (event.type) {
    case 'GroupMemberAdded':
      return { ...row, members: [...others, member] }
    case 'GroupMemberRemoved':
      return { ...row, members: others }
  }
}

/** A grant as its events tell it; that the clock has ended it shows once that was recorded. */
export function evolveGrant(before: GrantRow | undefined, event: GrantEvent): GrantRow {
  switch (event.type) {
    case 'RoleGranted': {
      const { grantId, principal, role, scope, expiresAt, reason } = event.data
      return { grantId, name: role, principal, role, scope, expiresAt: expiresAt ?? null, reason, status: 'active' }
    }
    case 'RoleRevoked':
      return { ...known(before), status: 'revoked' }
    case 'RoleGrantExpired':
      return { ...known(before), status: 'expired' }
  }
}
