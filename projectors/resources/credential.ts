import type { CredentialEvent, CredentialRow } from '../../schemas/credential.ts'
import { required } from './required.ts'

/** What is known of a credential; its secret never left the vault. Not yet usable while `latestVersion` is 0. */
export function evolveCredential(before: CredentialRow | undefined, event: CredentialEvent): CredentialRow {
  if (event.type === 'CredentialCreated') {
    const { credentialId, name, username, kind, description } = event.data
    const described = { credentialId, name, username, kind, description: description ?? null }
    return { ...described, status: 'active', latestVersion: 0, fingerprint: '' }
  }
  const credential = required(before)
  switch (event.type) {
    case 'CredentialVersionAdded': {
      const { version, kind, fingerprint } = event.data
      return { ...credential, kind, latestVersion: version, fingerprint }
    }
    case 'CredentialRevoked':
      return { ...credential, status: 'revoked' }
  }
}
