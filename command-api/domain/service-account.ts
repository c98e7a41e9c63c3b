import { streams } from '../../schemas/events.ts'
import type {
  AccountOwner,
  ServiceAccountCommand,
  ServiceAccountEvent,
  ServiceAccountInternalCommand,
} from '../../schemas/service-account.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'

export type ServiceAccount =
  | { status: 'absent' }
  | {
      status: 'active' | 'disabled'
      serviceAccountId: string
      name: string
      description: string | undefined
      owner: AccountOwner | undefined
      orphaned: boolean
    }
type Known = Exclude<ServiceAccount, { status: 'absent' }>
export type ServiceAccountDecision =
  | Identified<ServiceAccountCommand, 'serviceAccountId'>
  | ServiceAccountInternalCommand
/** The user who asks, where it is one; how whoever is named as the owner is. */
export type ServiceAccountFacts = {
  by?: AccountOwner | undefined
  owner?: 'active' | 'inactive' | 'absent' | undefined
}
type DataOf<T extends ServiceAccountDecision['type']> = Extract<ServiceAccountDecision, { type: T }>['data']

export const serviceAccount: Decider<ServiceAccount, ServiceAccountDecision, ServiceAccountEvent, ServiceAccountFacts> =
  {
    category: 'serviceaccount',
    streamOf: data => streams.serviceAccount(data.serviceAccountId),
    initial: { status: 'absent' },
    evolve,
    decide(command, state, _meta, facts) {
      if (command.type === 'create-service-account') return create(command.data, state, facts)
      if (state.status === 'absent')
        throw new DomainError('service-account-not-found', `no service account ${command.data.serviceAccountId}`)
      switch (command.type) {
        case 'transfer-service-account':
          return transfer(command.data, state, facts)
        case 'tell-service-account-orphaned':
          return orphan(command.data, state)
        case 'disable-service-account':
          return state.status === 'disabled' ? [] : [{ type: 'ServiceAccountDisabled', data: command.data }]
        case 'enable-service-account':
          return state.status === 'active' ? [] : [{ type: 'ServiceAccountEnabled', data: command.data }]
      }
    },
  }

function create(
  { owner: named, ...data }: DataOf<'create-service-account'>,
  state: ServiceAccount,
  facts: ServiceAccountFacts,
): ServiceAccountEvent[] {
  const owner = named ?? facts.by
  if (state.status === 'absent') {
    if (named) mustAct(named, facts)
    return [{ type: 'ServiceAccountCreated', data: { ...data, ...(owner && { owner }) } }]
  }
  if (state.name === data.name && state.description === data.description && (!named || isSame(named, state.owner)))
    return []
  throw new DomainError('service-account-already-exists', `there is already one ${data.serviceAccountId}`)
}

/** To the same one too where they had left: it is theirs again by somebody's decision, not by itself. */
function transfer(
  data: DataOf<'transfer-service-account'>,
  { owner, orphaned }: Known,
  facts: ServiceAccountFacts,
): ServiceAccountEvent[] {
  mustAct(data.owner, facts)
  if (!orphaned && isSame(data.owner, owner)) return []
  return [{ type: 'ServiceAccountOwnerChanged', data }]
}

/** Told of an owner it has no more, the account has another by now. */
function orphan(data: DataOf<'tell-service-account-orphaned'>, state: Known): ServiceAccountEvent[] {
  if (state.orphaned || state.status === 'disabled' || !isSame(data.owner, state.owner)) return []
  return [{ type: 'ServiceAccountOrphaned', data: { ...data, name: state.name } }]
}

function mustAct({ kind, id }: AccountOwner, { owner }: ServiceAccountFacts): void {
  if (owner === 'absent')
    throw new DomainError(kind === 'user' ? 'user-not-found' : 'group-not-found', `no ${kind} ${id}`)
  const why = kind === 'user' ? 'may not act now' : 'has nobody in it who may act now'
  if (owner !== 'active') throw new DomainError('service-account-owner-inactive', `${kind} ${id} ${why}`)
}

const isSame = (one: AccountOwner, other: AccountOwner | undefined): boolean =>
  one.kind === other?.kind && one.id === other.id

function evolve(state: ServiceAccount, event: ServiceAccountEvent): ServiceAccount {
  if (event.type === 'ServiceAccountCreated') {
    const { serviceAccountId, name, description, owner } = event.data
    return { status: 'active', serviceAccountId, name, description, owner, orphaned: false }
  }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'ServiceAccountOwnerChanged':
      return { ...state, owner: event.data.owner, orphaned: false }
    case 'ServiceAccountOrphaned':
      return { ...state, orphaned: true }
    case 'ServiceAccountDisabled':
      return { ...state, status: 'disabled' }
    case 'ServiceAccountEnabled':
      return { ...state, status: 'active' }
  }
}
