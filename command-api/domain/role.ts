import { streams } from '../../schemas/events.ts'
import { isBuiltInRole } from '../../schemas/permissions.ts'
import type { RoleCommand, RoleEvent } from '../../schemas/role.ts'
import { type Decider, DomainError } from './decider.ts'

export type Role =
  | { status: 'absent' }
  | {
      status: 'active' | 'retired'
      role: string
      description: string | undefined
      permissions: readonly string[]
    }
type Known = Exclude<Role, { status: 'absent' }>

export const role: Decider<Role, RoleCommand, RoleEvent, undefined> = {
  category: 'role',
  streamOf: data => streams.role(data.role),
  initial: { status: 'absent' },
  evolve,
  decide(command, state) {
    if (isBuiltInRole(command.data.role))
      throw new DomainError('role-already-exists', `the role ${command.data.role} is built in and cannot be changed`)
    if (command.type === 'define-role') return state.status === 'absent' ? define(command.data) : again(command, state)
    if (state.status === 'absent') throw new DomainError('role-not-found', `no role ${command.data.role}`)
    switch (command.type) {
      case 'change-role':
        return change(command.data, state)
      case 'retire-role':
        return state.status === 'retired' ? [] : [{ type: 'RoleRetired', data: command.data }]
    }
  },
}

type DataOf<T extends RoleCommand['type']> = Extract<RoleCommand, { type: T }>['data']

const define = ({ role, description, permissions }: DataOf<'define-role'>): RoleEvent[] => [
  { type: 'RoleDefined', data: { role, description, permissions: permissions.toSorted() } },
]

function again({ data }: { data: DataOf<'define-role'> }, state: Known): RoleEvent[] {
  const same =
    state.status === 'active' &&
    data.description === state.description &&
    data.permissions.toSorted().join() === state.permissions.join()
  if (same) return []
  throw new DomainError('role-already-exists', `there is already a role ${data.role}`)
}

function change({ role, permissions, reason }: DataOf<'change-role'>, state: Known): RoleEvent[] {
  if (state.status === 'retired') throw new DomainError('role-retired', `the role ${role} is out of use`)
  const added = permissions.filter(permission => !state.permissions.includes(permission)).toSorted()
  const removed = state.permissions.filter(permission => !permissions.includes(permission))
  return [
    ...added.map(permission => ({ type: 'RolePermissionAdded' as const, data: { role, permission, reason } })),
    ...removed.map(permission => ({ type: 'RolePermissionRemoved' as const, data: { role, permission, reason } })),
  ]
}

function evolve(state: Role, event: RoleEvent): Role {
  if (event.type === 'RoleDefined') return { status: 'active', description: undefined, ...event.data }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'RolePermissionAdded':
      return { ...state, permissions: [...state.permissions, event.data.permission].toSorted() }
    case 'RolePermissionRemoved':
      return { ...state, permissions: state.permissions.filter(each => each !== event.data.permission) }
    case 'RoleRetired':
      return { ...state, status: 'retired' }
  }
}
