import type { EventStore } from '../infra/event-store/port.ts'
import { type Recorded, streams } from '../schemas/events.ts'
import { type LogReader, logReader } from './log-reader.ts'

/** What the log says of an executor, as far as releasing goes: the key it is enrolled with, if any. */
export type ExecutorStatus = { revoked: boolean; publicKey: string | undefined }
export type ExecutorReader = LogReader<ExecutorStatus>

export const executorReader = (store: Pick<EventStore, 'read'>, monotonic: () => number): ExecutorReader =>
  logReader(store, monotonic, { stream: streams.executor, fold: executorStatus })

function executorStatus(events: readonly Recorded[]): ExecutorStatus {
  let status: ExecutorStatus = { revoked: false, publicKey: undefined }
  for (const event of events) {
    if (event.type === 'ExecutorEnrolled') status = { revoked: false, publicKey: event.data.publicKey }
    if (event.type === 'ExecutorRevoked') status = { ...status, revoked: true }
  }
  return status
}
