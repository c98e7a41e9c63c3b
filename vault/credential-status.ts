import type { EventStore } from '../infra/event-store/port.ts'
import { type Recorded, streams } from '../schemas/events.ts'
import { type LogReader, logReader } from './log-reader.ts'

/** What the log says of a credential, as far as releasing goes. */
export type CredentialStatus = { revoked: boolean; sealIds: ReadonlyMap<number, string> }
export type CredentialReader = LogReader<CredentialStatus>

export const credentialReader = (store: Pick<EventStore, 'read'>, monotonic: () => number): CredentialReader =>
  logReader(store, monotonic, { stream: streams.credential, fold: credentialStatus })

function credentialStatus(events: readonly Recorded[]): CredentialStatus {
  const sealIds = new Map<number, string>()
  let revoked = false
  for (const event of events) {
    if (event.type === 'CredentialVersionAdded') sealIds.set(event.data.version, event.data.sealId)
    if (event.type === 'CredentialRevoked') revoked = true
  }
  return { revoked, sealIds }
}
