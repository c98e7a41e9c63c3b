import { subjects } from '../../../schemas/bus.ts'
import type { BrokerUsers } from '../roles/broker.ts'
import type { RoleName } from './plan.ts'

type Rights = { publish: string[]; subscribe: string[] }
type BrokerUserName = 'api' | 'workers' | 'vault' | 'executor'

const answers = '_INBOX.>'

/** What each process may say and hear: an executor in particular can neither hear others nor speak for them. */
function rights({ executorId, pool }: { executorId: string; pool: string }): Record<BrokerUserName, Rights> {
  return {
    api: {
      publish: [subjects.vaultPublicKey, subjects.vaultSeal],
      subscribe: [subjects.live('*'), subjects.projected],
    },
    workers: {
      publish: [subjects.control('*'), subjects.live('*'), subjects.projected, answers],
      subscribe: [
        ...[subjects.pullAll, subjects.heartbeatAll, subjects.reportAll, subjects.outputAll, subjects.projected],
        ...[subjects.artifactPutAll, subjects.artifactGetAll],
      ],
    },
    vault: {
      publish: [answers],
      subscribe: [subjects.vaultPublicKey, subjects.vaultSeal, subjects.vaultRelease],
    },
    executor: {
      publish: [
        subjects.pull(pool),
        subjects.heartbeat(executorId),
        subjects.report(executorId),
        subjects.output(executorId),
        subjects.artifactPut(executorId),
        subjects.artifactGet(executorId),
        subjects.vaultRelease,
      ],
      subscribe: [subjects.control(executorId)],
    },
  }
}

/** The users of the embedded broker, each with a password of its own and its own place for answers. */
export function brokerUsersFor(
  executor: { executorId: string; pool: string },
  password: (user: string) => string,
): BrokerUsers {
  return Object.entries(rights(executor)).map(([user, { publish, subscribe }]) => ({
    user,
    password: password(user),
    permissions: { publish: { allow: publish }, subscribe: { allow: [...subscribe, `_INBOX.${user}.>`] } },
  }))
}

/** The broker user of a role; undefined for a role that does not use the broker. */
export function brokerUserOf(role: RoleName): BrokerUserName | undefined {
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
