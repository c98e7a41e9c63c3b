import { streams } from '../../schemas/events.ts'
import type { GrantCommand, GrantEvent } from '../../schemas/grant.ts'
import type { Meta } from '../../schemas/kernel.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'

type Granted = Extract<GrantEvent, { type: 'RoleGranted' }>['data']
export type Grant = { status: 'absent' } | { status: 'active' | 'revoked' | 'expired'; granted: Granted }
/** Whether the role and the one it is granted to are there: known to whoever asks, not to the grant's own stream. */
export type GrantFacts =
  | { role: 'active' | 'retired' | 'absent'; principal: 'active' | 'inactive' | 'absent' }
  | undefined

type Command = Identified<GrantCommand, 'grantId'>
type DataOf<T extends Command['type']> = Extract<Command, { type: T }>['data']

export const grant: Decider<Grant, Command, GrantEvent, GrantFacts> = {
  category: 'grant',
  streamOf: data => streams.grant(data.grantId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state, meta, facts) {
    if (command.type === 'grant-role')
      return state.status === 'absent' ? give(command.data, meta, facts) : again(command.data, state)
    const { grantId } = command.data
    if (state.status === 'absent') throw new DomainError('grant-not-found', `no grant ${grantId}`)
    switch (command.type) {
      case 'revoke-role':
        if (state.status === 'expired') throw new DomainError('grant-ended', `the grant ${grantId} has expired`)
        return state.status === 'revoked' ? [] : [{ type: 'RoleRevoked', data: command.data }]
      case 'expire-grant':
        return isOver(state, meta) ? expired(state.granted) : []
    }
  },
}

function give(data: DataOf<'grant-role'>, meta: Meta, facts: GrantFacts): GrantEvent[] {
  const { role, principal, expiresAt } = data
  if (!facts) throw new Error('a role is granted knowing whether it is there')
  if (facts.role === 'absent') throw new DomainError('role-not-found', `no role ${role}`)
  if (facts.role === 'retired') throw new DomainError('role-retired', `the role ${role} is out of use`)
  if (facts.principal === 'absent' && principal.kind === 'group')
    throw new DomainError('group-not-found', `no group ${principal.id}`)
  if (facts.principal !== 'active')
    throw new DomainError('principal-not-found', `no active ${principal.kind} ${principal.id}`)
  if (expiresAt !== undefined && Date.parse(expiresAt) <= Date.parse(meta.at))
    throw new DomainError('invalid-input', 'expiresAt is in the past')
  return [{ type: 'RoleGranted', data }]
}

function again(data: DataOf<'grant-role'>, { granted, status }: Exclude<Grant, { status: 'absent' }>): GrantEvent[] {
  if (status === 'active' && canonical(data) === canonical(granted)) return []
  throw new DomainError('grant-already-exists', `there is already a grant ${data.grantId}`)
}

const canonical = ({ principal, role, scope, expiresAt, reason }: Omit<Granted, 'grantId'>) =>
  JSON.stringify([principal.kind, principal.id, role, scopeText(scope), expiresAt, reason])

function scopeText(scope: Granted['scope']): string {
  switch (scope.kind) {
    case 'everything':
      return ''
    case 'labels':
      return scope.labels
    case 'resource':
      return `${scope.resource.kind}:${scope.resource.id}`
  }
}

const isOver = ({ status, granted }: Exclude<Grant, { status: 'absent' }>, { at }: Meta): boolean =>
  status === 'active' && granted.expiresAt !== undefined && Date.parse(granted.expiresAt) <= Date.parse(at)

const expired = ({ grantId, expiresAt }: Granted): GrantEvent[] =>
  expiresAt === undefined ? [] : [{ type: 'RoleGrantExpired', data: { grantId, expiresAt } }]

function evolve(state: Grant, event: GrantEvent): Grant {
  if (event.type === 'RoleGranted') return { status: 'active', granted: event.data }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'RoleRevoked':
      return { ...state, status: 'revoked' }
    case 'RoleGrantExpired':
      return { ...state, status: 'expired' }
  }
}
