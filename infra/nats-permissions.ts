import { subjects } from '../schemas/bus.ts'

/** Who talks over the broker besides executors. */
export type ControlPlaneUser = 'api' | 'workers' | 'vault'
export type Rights = { publish: string[]; subscribe: string[] }
export type BrokerUserRights = {
  user: string
  password: string
  permissions: { publish: { allow: string[] }; subscribe: { allow: string[] } }
}
/** `user` is whom the executor connects as; its name unless it is the only one of a small system. */
export type ExecutorUser = { executorId: string; user?: string }

const answers = '_INBOX.>'

/** Who answers may publish to every inbox; each user hears only its own (see `brokerUsers`). */
export const controlPlaneRights: Readonly<Record<ControlPlaneUser, Rights>> = {
  api: {
    // Of the two APIs, which are one user, the command side answers the query side.
    publish: [
      subjects.vaultPublicKey,
      subjects.vaultSeal,
      subjects.vaultSignIn,
      subjects.keyUsed,
      subjects.refused,
      subjects.revoked,
      subjects.revocations,
      '_INBOX.api.>',
    ],
    subscribe: [
      ...[subjects.live('*'), subjects.projected, subjects.refused, subjects.keyUsed],
      ...[subjects.revoked, subjects.revocations],
    ],
  },
  workers: {
    publish: [subjects.control('*'), subjects.live('*'), subjects.projected, answers],
    subscribe: [
      ...[subjects.enrol, subjects.pullAll, subjects.heartbeatAll, subjects.reportAll, subjects.outputAll],
      ...[subjects.artifactPutAll, subjects.artifactGetAll, subjects.projected],
    ],
  },
  vault: {
    publish: [answers],
    subscribe: [subjects.vaultPublicKey, subjects.vaultSeal, subjects.vaultRelease, subjects.vaultSignIn],
  },
}

/**
 * What one executor may say and hear: it speaks under its own name only and hears nobody else. It may ask for work in
 * any pool, because questions are signed and the log says which pool it is in: moving it needs no other broker rights.
 */
export function executorRights(executorId: string): Rights {
  return {
    publish: [
      ...[subjects.enrol, subjects.pullAll, subjects.vaultRelease],
      ...[subjects.heartbeat(executorId), subjects.report(executorId), subjects.output(executorId)],
      ...[subjects.artifactPut(executorId), subjects.artifactGet(executorId)],
    ],
    subscribe: [subjects.control(executorId)],
  }
}

/**
 * The users of a broker, embedded or not: each with a password of its own, and with an inbox of its own, so that answers
 * to one cannot be read by another. Throws for an executor that is called like a part of the control plane.
 */
export function brokerUsers(
  executors: readonly ExecutorUser[],
  password: (user: string) => string,
): BrokerUserRights[] {
  const rights = new Map<string, Rights>(Object.entries(controlPlaneRights))
  for (const { executorId, user = executorId } of executors) {
    if (rights.has(user)) throw new Error(`there is already a broker user ${user}: give the executor another name`)
    rights.set(user, executorRights(executorId))
  }
  return [...rights].map(([user, { publish, subscribe }]) => ({
    user,
    password: password(user),
    permissions: { publish: { allow: publish }, subscribe: { allow: [...subscribe, `_INBOX.${user}.>`] } },
  }))
}
