import type { Member } from '../../schemas/access.ts'
import { streams } from '../../schemas/events.ts'
import type { GroupCommand, GroupEvent } from '../../schemas/group.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'

export type Group =
  | { status: 'absent' }
  | { status: 'active'; name: string; description: string | undefined; members: readonly Member[] }

/** More would make every event about the group's rights slow to judge. */
export const MAX_MEMBERS = 5_000

export const group: Decider<Group, Identified<GroupCommand, 'groupId'>, GroupEvent, undefined> = {
  category: 'group',
  streamOf: data => streams.group(data.groupId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state) {
    const { groupId } = command.data
    if (command.type === 'create-group') {
      const { name, description } = command.data
      if (state.status === 'absent') return [{ type: 'GroupCreated', data: { groupId, name, description } }]
      if (state.name === name && state.description === description) return []
      throw new DomainError('group-already-exists', `there is already a group ${groupId}`)
    }
    if (state.status === 'absent') throw new DomainError('group-not-found', `no group ${groupId}`)
    const isIn = state.members.some(isSame(command.data.member))
    switch (command.type) {
      case 'add-to-group':
        if (isIn) return []
        if (state.members.length >= MAX_MEMBERS)
          throw new DomainError('invalid-input', `a group has at most ${MAX_MEMBERS} members`)
        return [{ type: 'GroupMemberAdded', data: command.data }]
      case 'remove-from-group':
        return isIn ? [{ type: 'GroupMemberRemoved', data: command.data }] : []
    }
  },
}

const isSame = (one: Member) => (other: Member) => one.kind === other.kind && one.id === other.id

function evolve(state: Group, event: GroupEvent): Group {
  if (event.type === 'GroupCreated') {
    const { name, description } = event.data
    return { status: 'active', name, description, members: [] }
  }
  if (state.status === 'absent') return state
  const { member } = event.data
  switch (event.type) {
    case 'GroupMemberAdded':
      return { ...state, members: [...state.members, member] }
    case 'GroupMemberRemoved': {
      const left = isSame(member)
      return { ...state, members: state.members.filter(each => !left(each)) }
    }
  }
}
