import { brokerUsers, type ControlPlaneUser } from '../../nats-permissions.ts'
import type { BrokerUsers } from '../roles/broker.ts'
import type { RoleName } from './plan.ts'

/** The users of a system with one executor, which connects as `executor` whatever it is called. */
export function brokerUsersFor(
  { executorId }: { executorId: string },
  password: (user: string) => string,
): BrokerUsers {
  return brokerUsers([{ executorId, user: 'executor' }], password)
}

/** The broker user of a role; undefined for a role that does not use the broker. */
export function brokerUserOf(role: RoleName): ControlPlaneUser | 'executor' | undefined {
  switch (role) {
    case 'api':
    case 'command-api':
    case 'query-api':
      return 'api'
    case 'workers':
    case 'projectors':
    case 'reactors':
      return 'workers'
    case 'vault':
      return 'vault'
    case 'executor':
      return 'executor'
    case 'event-store-node':
    case 'postgres':
    case 'broker':
      return undefined
  }
}
