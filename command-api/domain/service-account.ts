import { streams } from '../../schemas/events.ts'
import type { ServiceAccountCommand, ServiceAccountEvent } from '../../schemas/service-account.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'

export type ServiceAccount =
  | { status: 'absent' }
  | { status: 'active' | 'disabled'; serviceAccountId: string; name: string; description: string | undefined }
export type ServiceAccountDecision = Identified<ServiceAccountCommand, 'serviceAccountId'>

export const serviceAccount: Decider<ServiceAccount, ServiceAccountDecision, ServiceAccountEvent, undefined> = {
  category: 'serviceaccount',
  streamOf: data => streams.serviceAccount(data.serviceAccountId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state) {
    if (command.type === 'create-service-account') {
      const { data } = command
      if (state.status === 'absent') return [{ type: 'ServiceAccountCreated', data }]
      if (state.name === data.name && state.description === data.description) return []
      throw new DomainError('service-account-already-exists', `there is already one ${data.serviceAccountId}`)
    }
    if (state.status === 'absent')
      throw new DomainError('service-account-not-found', `no service account ${command.data.serviceAccountId}`)
    switch (command.type) {
      case 'disable-service-account':
        return state.status === 'disabled' ? [] : [{ type: 'ServiceAccountDisabled', data: command.data }]
      case 'enable-service-account':
        return state.status === 'active' ? [] : [{ type: 'ServiceAccountEnabled', data: command.data }]
    }
  },
}

function evolve(state: ServiceAccount, event: ServiceAccountEvent): ServiceAccount {
  if (event.type === 'ServiceAccountCreated') {
    const { serviceAccountId, name, description } = event.data
    return { status: 'active', serviceAccountId, name, description }
  }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'ServiceAccountDisabled':
      return { ...state, status: 'disabled' }
    case 'ServiceAccountEnabled':
      return { ...state, status: 'active' }
  }
}
