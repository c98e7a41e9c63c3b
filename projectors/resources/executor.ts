import type { ExecutorEvent, ExecutorRow } from '../../schemas/executor.ts'
import { required } from './required.ts'

/** An executor as its events tell it; whether it is heard of is not among them. */
export function evolveExecutor(before: ExecutorRow | undefined, event: ExecutorEvent): ExecutorRow {
  if (event.type === 'EnrolmentTokenIssued') {
    const { executorId, pool, labels, expiresAt } = event.data
    if (before) return { ...before, tokenExpiresAt: expiresAt }
    const unknown = { publicKey: null, version: null, protocol: null }
    return { executorId, name: executorId, pool, labels, status: 'invited', ...unknown, tokenExpiresAt: expiresAt }
  }
  const executor = required(before)
  switch (event.type) {
    case 'ExecutorEnrolled': {
      const { publicKey, pool, labels, version, protocol } = event.data
      return { ...executor, publicKey, pool, labels, version, protocol, status: 'enrolled', tokenExpiresAt: null }
    }
    case 'ExecutorRevoked':
      return { ...executor, status: 'revoked', tokenExpiresAt: null }
    case 'ExecutorDrained':
      return { ...executor, status: 'draining' }
    case 'ExecutorResumed':
      return { ...executor, status: 'enrolled' }
    case 'ExecutorLabelsSet':
      return { ...executor, labels: event.data.labels }
    case 'ExecutorMovedToPool':
      return { ...executor, pool: event.data.pool }
    case 'ExecutorVersionChanged':
      return { ...executor, version: event.data.version, protocol: event.data.protocol }
    case 'EnrolmentRefused':
    case 'ExecutorReportRefused':
      return executor
  }
}
