import t from 'tap'
import type { GrantEvent } from '../../schemas/grant.ts'
import type { GroupEvent } from '../../schemas/group.ts'
import type { RoleCommand, RoleEvent } from '../../schemas/role.ts'
import { specFor } from '../../test/support/decider-spec.ts'
import { grant } from './grant.ts'
import { group } from './group.ts'
import { role } from './role.ts'

const groupId = '0192d3c4-5e6f-7a8b-9c0d-000000000021'
const member = { kind: 'user', id: '0192d3c4-5e6f-7a8b-9c0d-000000000022' } as const
const grantId = '0192d3c4-5e6f-7a8b-9c0d-000000000023'

t.test('roles', async t => {
  const { given } = specFor(t, role)
  const night = { role: 'night', permissions: ['run:trigger', 'run:read'] }
  const defined: RoleEvent = { type: 'RoleDefined', data: { role: 'night', permissions: ['run:read', 'run:trigger'] } }
  const retired: RoleEvent = { type: 'RoleRetired', data: { role: 'night', reason: 'no night' } }
  given().when({ type: 'define-role', data: night }).thenRecords(defined)
  given(defined).when({ type: 'define-role', data: night }).thenNothing()
  given(defined)
    .when({ type: 'define-role', data: { role: 'night', permissions: ['run:read'] } })
    .thenRejects('role-already-exists')
  given(defined, retired).when({ type: 'define-role', data: night }).thenRejects('role-already-exists')
  given()
    .when({ type: 'define-role', data: { ...night, role: 'operator' } })
    .thenRejects('role-already-exists')
  const change: RoleCommand = {
    type: 'change-role',
    data: { role: 'night', permissions: ['run:read', 'run:cancel'] },
  }
  given().when(change).thenRejects('role-not-found')
  given(defined)
    .when(change)
    .thenRecords(
      { type: 'RolePermissionAdded', data: { role: 'night', permission: 'run:cancel' } },
      { type: 'RolePermissionRemoved', data: { role: 'night', permission: 'run:trigger' } },
    )
  given(defined, { type: 'RolePermissionAdded', data: { role: 'night', permission: 'run:cancel' } })
    .when({ type: 'change-role', data: { role: 'night', permissions: ['run:trigger', 'run:cancel', 'run:read'] } })
    .thenNothing()
  given(defined, { type: 'RolePermissionRemoved', data: { role: 'night', permission: 'run:read' } })
    .when({ type: 'change-role', data: { role: 'night', permissions: ['run:trigger'] } })
    .thenNothing()
  given(defined, retired).when(change).thenRejects('role-retired')
  given(defined).when({ type: 'retire-role', data: retired.data }).thenRecords(retired)
  given(defined, retired).when({ type: 'retire-role', data: retired.data }).thenNothing()
})

t.test('groups', async t => {
  const { given } = specFor(t, group)
  const created: GroupEvent = { type: 'GroupCreated', data: { groupId, name: 'team' } }
  const added: GroupEvent = { type: 'GroupMemberAdded', data: { groupId, member } }
  const removed: GroupEvent = { type: 'GroupMemberRemoved', data: { groupId, member } }
  given().when({ type: 'create-group', data: created.data }).thenRecords(created)
  given(created).when({ type: 'create-group', data: created.data }).thenNothing()
  given(created)
    .when({ type: 'create-group', data: { groupId, name: 'other' } })
    .thenRejects('group-already-exists')
  given().when({ type: 'add-to-group', data: added.data }).thenRejects('group-not-found')
  given(created).when({ type: 'add-to-group', data: added.data }).thenRecords(added)
  given(created, added).when({ type: 'add-to-group', data: added.data }).thenNothing()
  given(created, added).when({ type: 'remove-from-group', data: removed.data }).thenRecords(removed)
  given(created, added, removed).when({ type: 'remove-from-group', data: removed.data }).thenNothing()
})

t.test('grants', async t => {
  const { given } = specFor(t, grant)
  const there = { role: 'active', principal: 'active' } as const
  const data = {
    grantId,
    principal: member,
    role: 'viewer',
    scope: { kind: 'everything' },
    reason: 'asked for',
  } as const
  const granted: GrantEvent = { type: 'RoleGranted', data }
  const give = { type: 'grant-role', data } as const
  given().when(give, there).thenRecords(granted)
  given(granted).when(give, there).thenNothing()
  given(granted)
    .when({ type: 'grant-role', data: { ...data, role: 'operator' } }, there)
    .thenRejects('grant-already-exists')
  given()
    .when(give, { ...there, role: 'absent' })
    .thenRejects('role-not-found')
  given()
    .when(give, { ...there, role: 'retired' })
    .thenRejects('role-retired')
  given()
    .when(give, { ...there, principal: 'inactive' })
    .thenRejects('principal-not-found')
  const toGroup = { type: 'grant-role', data: { ...data, principal: { kind: 'group', id: groupId } } } as const
  given()
    .when(toGroup, { ...there, principal: 'absent' })
    .thenRejects('group-not-found')
  const until = (expiresAt: string) => ({ ...data, expiresAt })
  given()
    .when({ type: 'grant-role', data: until('2030-01-01T00:00:00.000Z') }, there)
    .thenRejects('invalid-input')
  const revoke = { type: 'revoke-role', data: { grantId, reason: 'left' } } as const
  const revoked: GrantEvent = { type: 'RoleRevoked', data: revoke.data }
  given().when(revoke).thenRejects('grant-not-found')
  given(granted).when(revoke).thenRecords(revoked)
  given(granted, revoked).when(revoke).thenNothing()
  const expire = { type: 'expire-grant', data: { grantId } } as const
  const past = '2029-12-31T23:59:59.000Z'
  const ended: GrantEvent = { type: 'RoleGrantExpired', data: { grantId, expiresAt: past } }
  given(granted).when(expire).thenNothing()
  given({ type: 'RoleGranted', data: until('2030-01-01T00:00:00.001Z') })
    .when(expire)
    .thenNothing()
  const temporary: GrantEvent = { type: 'RoleGranted', data: until(past) }
  given(temporary).when(expire).thenRecords(ended)
  given(temporary, ended).when(expire).thenNothing()
  given(temporary, revoked).when(expire).thenNothing()
  given(temporary, ended).when(revoke).thenRejects('grant-ended')
})
