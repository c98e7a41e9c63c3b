import type { EventStore } from '../infra/event-store/port.ts'
import { type Recorded, streams } from '../schemas/events.ts'
import { type LogReader, logReader } from './log-reader.ts'

/** What the log says of a credential, as far as releasing goes. */
export type CredentialStatus = {
  revoked: boolean
  username: string
  versions: ReadonlyMap<number, { sealId: string; expiresAt: string | undefined }>
}
export type CredentialReader = LogReader<CredentialStatus>

export const credentialReader = (store: Pick<EventStore, 'read'>, monotonic: () => number): CredentialReader =>
  logReader(store, monotonic, { stream: streams.credential, fold: credentialStatus })

function credentialStatus(events: readonly Recorded[]): CredentialStatus {
  const versions = new Map<number, { sealId: string; expiresAt: string | undefined }>()
  let revoked = false
  let username = ''
  for (const { type, data } of events) {
    if (type === 'CredentialCreated') username = data.username
    if (type === 'CredentialVersionAdded')
      versions.set(data.version, { sealId: data.sealId, expiresAt: data.expiresAt })
    if (type === 'CredentialRevoked') revoked = true
  }
  return { revoked, username, versions }
}
