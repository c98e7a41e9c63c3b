import { behind, type Owner } from '../../schemas/actor.ts'
import type {
  CredentialCommand,
  CredentialEvent,
  CredentialInternalCommand,
  CredentialKind,
  Sealed,
} from '../../schemas/credential.ts'
import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import { expiryOf, type Warned } from './credential-expiry.ts'
import { isOthers } from './credential-owner.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'

export type CredentialVersion = { version: number; kind: CredentialKind } & Sealed
export type Credential =
  | { status: 'absent' }
  | {
      status: 'active' | 'revoked'
      credentialId: string
      name: string
      username: string
      description: string | undefined
      owner: Owner | undefined
      latestVersion: number
      versions: readonly CredentialVersion[]
      /** What was said of the expiry of the newest version. */
      warned: Warned
    }
type Known = Exclude<Credential, { status: 'absent' }>

/** The vault's word that it keeps the secret of this version: what a command's secret has become. */
export type SealedSecret = { kind: CredentialKind; version: number; sealed: Sealed }
export type CredentialFacts = { secret?: SealedSecret | undefined }

/** The secret itself never comes this far. */
type Stripped<C> = C extends { type: infer T; data: infer D } ? { type: T; data: Omit<D, 'secret'> } : never
export type SecretlessCredentialCommand =
  | Stripped<Identified<CredentialCommand, 'credentialId'>>
  | CredentialInternalCommand

export const credential: Decider<Credential, SecretlessCredentialCommand, CredentialEvent, CredentialFacts> = {
  category: 'credential',
  streamOf: data => streams.credential(data.credentialId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state, meta, { secret }) {
    switch (command.type) {
      case 'create-credential':
        return state.status === 'absent'
          ? create(command.data, expect(secret, 1), meta)
          : repeated(command.data, state, secret, meta)
      case 'add-credential-version':
        return addVersion(command.data, active(state, command.data.credentialId), secret, meta)
      case 'revoke-credential':
        if (state.status === 'absent') throw notFound(command.data.credentialId)
        return state.status === 'revoked' ? [] : [{ type: 'CredentialRevoked', data: command.data }]
      case 'note-credential-expiry':
        return state.status === 'active'
          ? expiryOf(state.credentialId, state.versions.at(-1), state.warned, meta.at)
          : []
    }
  },
}

type DataOf<T extends SecretlessCredentialCommand['type']> = Extract<SecretlessCredentialCommand, { type: T }>['data']

function create(
  data: DataOf<'create-credential'>,
  { kind, version, sealed }: SealedSecret,
  { actor, at }: Meta,
): CredentialEvent[] {
  const { credentialId, name, username, description, personal } = data
  const owner = personal ? behind(actor) : undefined
  return [
    { type: 'CredentialCreated', data: { credentialId, name, username, kind, description, owner } },
    {
      type: 'CredentialVersionAdded',
      data: { credentialId, version, kind, ...sealed, expiresAt: validUntil(data.expiresAt, sealed, at) },
    },
  ]
}

function addVersion(
  { credentialId, reason, expiresAt }: DataOf<'add-credential-version'>,
  known: Known,
  secret: SealedSecret | undefined,
  { actor, at }: Meta,
): CredentialEvent[] {
  if (isOthers(known.owner, actor)) throw notYours(known)
  const { kind, version, sealed } = expect(secret, known.latestVersion + 1)
  const newest = known.versions.at(-1)
  const until = validUntil(expiresAt, sealed, at)
  if (sealed.fingerprint === newest?.fingerprint && until === newest.expiresAt) return []
  return [
    { type: 'CredentialVersionAdded', data: { credentialId, version, kind, ...sealed, expiresAt: until, reason } },
  ]
}

/** The earlier of what was asked for and what the secret itself says. */
function validUntil(asked: string | undefined, sealed: Sealed, at: string): string | undefined {
  const ends = [asked, sealed.expiresAt].filter(each => each !== undefined)
  const [first] = ends.toSorted((a, b) => Date.parse(a) - Date.parse(b))
  if (first === undefined) return undefined
  if (Date.parse(first) <= Date.parse(at)) throw new DomainError('invalid-input', `it would have expired at ${first}`)
  return new Date(first).toISOString()
}

function repeated(
  data: DataOf<'create-credential'>,
  state: Known,
  secret: SealedSecret | undefined,
  { actor }: Meta,
): CredentialEvent[] {
  const same =
    state.status === 'active' &&
    data.name === state.name &&
    data.username === state.username &&
    data.description === state.description &&
    (data.personal ?? false) === (state.owner !== undefined) &&
    !isOthers(state.owner, actor) &&
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
const notYours = ({ name }: Known) =>
  new DomainError('credential-not-yours', `the credential ${name} is personal: only its owner may change it`)

function evolve(state: Credential, event: CredentialEvent): Credential {
  if (event.type === 'CredentialCreated') {
    const { credentialId, name, username, description, owner } = event.data
    const known = { credentialId, name, username, description, owner }
    return { status: 'active', ...known, latestVersion: 0, versions: [], warned: undefined }
  }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'CredentialVersionAdded': {
      const { credentialId: _, reason: __, ...added } = event.data
      return { ...state, latestVersion: added.version, versions: [...state.versions, added], warned: undefined }
    }
    case 'CredentialRevoked':
      return { ...state, status: 'revoked' }
    case 'CredentialExpiryApproached':
      return event.data.version === state.latestVersion ? { ...state, warned: event.data.daysLeft } : state
    case 'CredentialExpired':
      return event.data.version === state.latestVersion ? { ...state, warned: 'expired' } : state
  }
}
