import type { EventStore } from '../infra/event-store/port.ts'
import type { CredentialKind } from '../schemas/credential.ts'
import { type Recorded, streams } from '../schemas/events.ts'
import { type LogReader, logReader } from './log-reader.ts'

/** What the log says of a credential, as far as releasing goes. */
export type CredentialStatus = {
  revoked: boolean
  username: string
  versions: ReadonlyMap<number, Version>
}
type Version = { sealId: string; kind: CredentialKind; expiresAt: string | undefined }
export type CredentialReader = LogReader<CredentialStatus>

export const credentialReader = (store: Pick<EventStore, 'read'>, monotonic: () => number): CredentialReader =>
  logReader(store, monotonic, { stream: streams.credential, fold: credentialStatus })

function credentialStatus(events: readonly Recorded[]): CredentialStatus {
  const versions = new Map<number, Version>()
  let revoked = false
  let username = ''
  for (const { type, data } of events) {
    if (type === 'CredentialCreated') username = data.username
    if (type === 'CredentialVersionAdded')
      versions.set(data.version, { sealId: data.sealId, kind: data.kind, expiresAt: data.expiresAt })
    if (type === 'CredentialRevoked') revoked = true
  }
  return { revoked, username, versions }
}
