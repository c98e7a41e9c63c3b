import type { EventStore } from '../infra/event-store/port.ts'
import { type Recorded, streams } from '../schemas/events.ts'

/** What the log says of a credential, as far as releasing goes. */
export type CredentialStatus = { revoked: boolean; sealIds: ReadonlyMap<number, string> }

function credentialStatus(events: readonly Recorded[]): CredentialStatus {
  const sealIds = new Map<number, string>()
  let revoked = false
  for (const event of events) {
    if (event.type === 'CredentialVersionAdded') sealIds.set(event.data.version, event.data.sealId)
    if (event.type === 'CredentialRevoked') revoked = true
  }
  return { revoked, sealIds }
}

const MAX_AGE_MS = 1_000
const MAX_ENTRIES = 1_000

/** Says how a credential stands; `fresh` asks the log now. */
export type CredentialReader = (credentialId: string, options?: { fresh?: boolean }) => Promise<CredentialStatus>

/**
 * Reads credentials from the log, each at most once a second: a run on many targets asks for the same one, and a
 * revocation takes effect within that second. Concurrent readers share one read.
 */
export function credentialReader(store: Pick<EventStore, 'read'>, monotonic: () => number): CredentialReader {
  const cache = new Map<string, { at: number; status: Promise<CredentialStatus> }>()
  return (credentialId, { fresh = false } = {}) => {
    const cached = cache.get(credentialId)
    if (!fresh && cached && monotonic() - cached.at < MAX_AGE_MS) return cached.status
    const status = store.read(streams.credential(credentialId)).then(({ events }) => credentialStatus(events))
    // Its age counts from before the read, so that it is never older than it says.
    const entry = { at: monotonic(), status }
    cache.delete(credentialId)
    cache.set(credentialId, entry)
    const [oldest] = cache.keys()
    if (cache.size > MAX_ENTRIES && oldest !== undefined) cache.delete(oldest)
    status.catch(() => {
      if (cache.get(credentialId) === entry) cache.delete(credentialId)
    })
    return status
  }
}
