import type { CredentialEvent, CredentialRow } from '../../schemas/credential.ts'
import type { Recorded } from '../../schemas/events.ts'
import { required } from './required.ts'

/** What is known of a credential; its secret never left the vault. Not yet usable while `latestVersion` is 0. */
export function evolveCredential(before: CredentialRow | undefined, event: Recorded<CredentialEvent>): CredentialRow {
  if (event.type === 'CredentialCreated') {
    const { credentialId, name, username, kind, description, owner } = event.data
    const described = { credentialId, name, username, kind, description: description ?? null, owner: owner ?? null }
    const newest = {
      expiresAt: null,
      expired: false,
      publicKey: null,
      external: null,
      rotatedAt: null,
      rotatedBy: null,
    }
    return { ...described, ...newest, status: 'active', latestVersion: 0, fingerprint: '' }
  }
  const credential = required(before)
  switch (event.type) {
    case 'CredentialVersionAdded': {
      const { version, kind, fingerprint, expiresAt = null, publicKey = null, external = null } = event.data
      const { actor, at } = event.metadata
      const rotated = { rotatedAt: at, rotatedBy: { kind: actor.kind, id: actor.id } }
      return {
        ...credential,
        ...rotated,
        kind,
        latestVersion: version,
        fingerprint,
        expiresAt,
        expired: false,
        publicKey,
        external,
      }
    }
    case 'CredentialRevoked':
      return { ...credential, status: 'revoked' }
    case 'CredentialExpiryApproached':
      return credential
    case 'CredentialExpired':
      return event.data.version === credential.latestVersion ? { ...credential, expired: true } : credential
  }
}
