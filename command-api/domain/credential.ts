import type { CredentialCommand, CredentialEvent, Sealed } from '../../schemas/credential.ts'
import { streams } from '../../schemas/events.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'

export type Credential =
  | { status: 'absent' }
  | {
      status: 'active' | 'revoked'
      credentialId: string
      name: string
      username: string
      description: string | undefined
      latestVersion: number
      versions: ReadonlyArray<{ version: number; kind: 'ssh-key' | 'password' } & Sealed>
    }
type Known = Exclude<Credential, { status: 'absent' }>

/** The vault's word that it keeps the secret of this version: what a command's secret has become. */
export type SealedSecret = { kind: 'ssh-key' | 'password'; version: number; sealed: Sealed }
export type CredentialFacts = { secret?: SealedSecret | undefined }

/** The secret itself never comes this far. */
type Stripped<C> = C extends { type: infer T; data: infer D } ? { type: T; data: Omit<D, 'secret'> } : never
export type SecretlessCredentialCommand = Stripped<Identified<CredentialCommand, 'credentialId'>>

export const credential: Decider<Credential, SecretlessCredentialCommand, CredentialEvent, CredentialFacts> = {
  category: 'credential',
  streamOf: data => streams.credential(data.credentialId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state, _meta, { secret }) {
    switch (command.type) {
      case 'create-credential':
        return state.status === 'absent'
          ? create(command.data, expect(secret, 1))
          : repeated(command.data, state, secret)
      case 'add-credential-version': {
        const known = active(state, command.data.credentialId)
        const { kind, version, sealed } = expect(secret, known.latestVersion + 1)
        if (sealed.fingerprint === known.versions.at(-1)?.fingerprint) return []
        const { credentialId, reason } = command.data
        return [{ type: 'CredentialVersionAdded', data: { credentialId, version, kind, ...sealed, reason } }]
      }
      case 'revoke-credential':
        if (state.status === 'absent') throw notFound(command.data.credentialId)
        return state.status === 'revoked' ? [] : [{ type: 'CredentialRevoked', data: command.data }]
    }
  },
}

type Create = Extract<SecretlessCredentialCommand, { type: 'create-credential' }>['data']

function create(data: Create, { kind, version, sealed }: SealedSecret): CredentialEvent[] {
  const { credentialId, name, username, description } = data
  return [
    { type: 'CredentialCreated', data: { credentialId, name, username, kind, description } },
    { type: 'CredentialVersionAdded', data: { credentialId, version, kind, ...sealed } },
  ]
}

function repeated(data: Create, state: Known, secret: SealedSecret | undefined): CredentialEvent[] {
  const same =
    state.status === 'active' &&
    data.name === state.name &&
    data.username === state.username &&
    data.description === state.description &&
    secret?.sealed.fingerprint === state.versions.at(-1)?.fingerprint
  if (same) return []
  throw new DomainError('credential-already-exists', `there is already a credential ${data.credentialId}`)
}

/** Sealing binds the version number: another version added meanwhile makes what was sealed useless. */
function expect(secret: SealedSecret | undefined, version: number): SealedSecret {
  if (secret?.version === version) return secret
  throw new DomainError('conflict', 'another version was added at the same moment')
}

function active(state: Credential, credentialId: string): Known {
  if (state.status === 'absent') throw notFound(credentialId)
  if (state.status === 'revoked') throw new DomainError('credential-revoked', `the credential ${state.name} is revoked`)
  return state
}

const notFound = (credentialId: string) => new DomainError('credential-not-found', `no credential ${credentialId}`)

function evolve(state: Credential, event: CredentialEvent): Credential {
  if (event.type === 'CredentialCreated') {
    const { credentialId, name, username, description } = event.data
    return { status: 'active', credentialId, name, username, description, latestVersion: 0, versions: [] }
  }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'CredentialVersionAdded': {
      const { version, kind, sealId, kekId, fingerprint, ciphertextDigest } = event.data
      const added = { version, kind, sealId, kekId, fingerprint, ciphertextDigest }
      return { ...state, latestVersion: version, versions: [...state.versions, added] }
    }
    case 'CredentialRevoked':
      return { ...state, status: 'revoked' }
  }
}
