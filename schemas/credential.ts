import { z } from 'zod'
import { actorSchema, id, instant, line, type MessageOf, name, reason, sha256 } from './kernel.ts'
import { stepRunId } from './steps/base.ts'

export const credentialKind = z.enum([
  ...(['ssh-key', 'password', 'ssh-certificate', 'windows-password', 'client-certificate'] as const),
  ...(['api-token', 'generic'] as const),
])
export type CredentialKind = z.output<typeof credentialKind>
/** What an executor logs in to a target with over SSH. */
export const sshKinds: ReadonlySet<CredentialKind> = new Set(['ssh-key', 'password', 'ssh-certificate'])
/** What a step can be given to read: all but what is made for one login. */
export const readableKinds: ReadonlySet<CredentialKind> = new Set(
  credentialKind.options.filter(kind => kind !== 'ssh-certificate'),
)
/** What a request shows to the other side, by TLS. */
export const tlsKinds: ReadonlySet<CredentialKind> = new Set(['client-certificate'])
/** Login names of POSIX and of Windows (DOMAIN\user, user@realm). */
export const username = z
  .string()
  .regex(/^[A-Za-z0-9._@\\$-]{1,104}$/, 'a login name')
  .refine(u => !u.startsWith('-'), 'must not begin with -')

const privateKey = z.string().min(32).max(20_000)
const passphrase = z.string().min(1).max(1024).optional()
const sshKey = z.strictObject({ kind: z.literal('ssh-key'), privateKey, passphrase })
/** Logs in over SSH. */
const password = z.strictObject({ kind: z.literal('password'), password: z.string().min(1).max(4096) })
/** Logs in to Windows (WinRM). */
const windowsPassword = password.extend({ kind: z.literal('windows-password'), password: z.string().min(1).max(256) })
/** X.509 for TLS: the certificate first, then those that lead to its root; its private key. All PEM. */
const clientCertificate = z.strictObject({
  kind: z.literal('client-certificate'),
  certificate: z.string().min(64).max(100_000),
  privateKey,
  passphrase,
})
const apiToken = z.strictObject({ kind: z.literal('api-token'), token: z.string().min(1).max(16_384) })
const generic = z.strictObject({ kind: z.literal('generic'), value: z.string().min(1).max(65_536) })

/**
 * The key of an SSH certificate authority, with which a certificate is made for each login and nothing else. Without
 * `caKey` the vault makes one that nobody ever sees. `principals`: as whom it lets in; else the credential's user.
 */
const sshAuthority = z.strictObject({
  kind: z.literal('ssh-certificate'),
  caKey: privateKey.optional(),
  passphrase,
  principals: z.array(username).min(1).max(16).optional(),
  validSeconds: z.int().min(60).max(86_400).default(300),
})

/** `vault:<mount>/data/<path>#<field>`: a field of a secret in HashiCorp Vault's KV engine, version 2. */
export const externalPath = z
  .string()
  .max(500)
  .regex(/^vault:[A-Za-z0-9._-]+\/data(\/[A-Za-z0-9._-]+)+#[A-Za-z0-9._-]{1,100}$/, 'vault:<mount>/data/<path>#<field>')
  .refine(path => !/\/\.{1,2}(\/|#)/.test(path), 'no . or .. in the path')

/** A secret that stays where it is: it is read when it is released, and never stored here. */
const external = z.strictObject({
  kind: z.literal('external'),
  /** What it is used as. */
  of: z.enum(['ssh-key', 'password', 'windows-password', 'api-token', 'generic']),
  path: externalPath,
})

/** Secret material. Lives in a command body for the moment it takes to seal it; never in an event, log or error. */
export const secretMaterial = z.discriminatedUnion('kind', [
  ...([sshKey, password, sshAuthority, windowsPassword, clientCertificate, apiToken, generic, external] as const),
])
export type SecretMaterial = z.output<typeof secretMaterial>
export const kindOf = (secret: SecretMaterial): CredentialKind => (secret.kind === 'external' ? secret.of : secret.kind)

/** Made for one login: a fresh key (PEM, PKCS #8), and what the authority signed over it (base64, OpenSSH format). */
const sshLogin = z.strictObject({ kind: z.literal('ssh-certificate'), privateKey, certificate: z.base64().max(20_000) })

/** What an executor is given to use. */
export const usableSecret = z.discriminatedUnion('kind', [
  ...([sshKey, password, sshLogin, windowsPassword, clientCertificate, apiToken, generic] as const),
])
export type UsableSecret = z.output<typeof usableSecret>

/** What the vault answers when it has sealed a secret durably: references only, nothing secret. */
export const sealed = z.strictObject({
  sealId: id,
  kekId: z.string().min(1).max(120),
  fingerprint: sha256,
  ciphertextDigest: sha256,
  /** Of an SSH certificate authority, as it is written into TrustedUserCAKeys. */
  publicKey: line(4096).optional(),
  /** Of a client certificate: the end of its own validity. */
  expiresAt: instant.optional(),
  /** Where the secret is read from at its release. */
  external: externalPath.optional(),
})
export type Sealed = z.output<typeof sealed>

export const credentialCommands = {
  'create-credential': z.strictObject({
    credentialId: id.optional(),
    name,
    username,
    description: line(500).optional(),
    /** Nobody but who creates it may use or change it; others may only revoke it. */
    personal: z.boolean().optional(),
    /** Not released from then on. */
    expiresAt: instant.optional(),
    secret: secretMaterial,
  }),
  'add-credential-version': z.strictObject({
    credentialId: id,
    secret: secretMaterial,
    expiresAt: instant.optional(),
    reason: reason.optional(),
  }),
  'revoke-credential': z.strictObject({ credentialId: id, reason }),
}
/** Sent by the reactor that watches the time. */
export const credentialInternalCommands = {
  'note-credential-expiry': z.strictObject({ credentialId: id }),
}
export const credentialOwner = actorSchema.pick({ kind: true, id: true })

const version = z.int().min(1)
export const credentialEvents = {
  CredentialCreated: z.object({
    credentialId: id,
    name,
    username,
    kind: credentialKind,
    description: line(500).optional(),
    owner: credentialOwner.optional(),
  }),
  CredentialVersionAdded: z.object({
    credentialId: id,
    version,
    kind: credentialKind,
    ...sealed.shape,
    reason: reason.optional(),
  }),
  CredentialRevoked: z.object({ credentialId: id, reason }),
  /** The newest version expires within so many days. */
  CredentialExpiryApproached: z.object({ credentialId: id, version, expiresAt: instant, daysLeft: z.int().min(1) }),
  CredentialExpired: z.object({ credentialId: id, version, expiresAt: instant }),
}

/** What for: this step reads it from its standard input; absent: the executor logs in with it. */
const purpose = { stepId: stepRunId.optional() }

/** Stream `release-<runId>.<n>`: appended by the vault before it lets a secret out. */
export const releaseEvents = {
  CredentialReleased: z.object({
    credentialId: id,
    version,
    runId: id,
    n: z.int().min(0),
    targetId: id,
    executorId: z.string(),
    epoch: z.int().min(1),
    ...purpose,
    /** The SSH certificate that was made for it; the server writes serial and key id into its own log. */
    certificate: z
      .object({ serial: z.string(), keyId: z.string(), principals: z.array(z.string()), validBefore: instant })
      .optional(),
  }),
  CredentialReleaseDenied: z.object({
    credentialId: id,
    version,
    runId: id,
    n: z.int().min(0),
    executorId: z.string(),
    epoch: z.int().min(1),
    ...purpose,
    code: z.enum([
      'stale-epoch',
      'not-claimed',
      'revoked',
      'unknown-version',
      'wrong-signature',
      'not-this-credential',
      /** It was asked for on behalf of a step that does not run now. */
      'step-not-running',
      'executor-revoked',
      'executor-not-enrolled',
      /** What is stored is not what was sealed: moved, changed, or gone. Somebody has been at the database. */
      'damaged-secret',
      'expired',
      /** Of a kind that nobody logs in with, or that no step can be given. */
      'credential-unfit',
      /** The external reference leads to nothing that can be used. */
      'external-unusable',
    ]),
  }),
}

export const credentialRow = z.object({
  credentialId: id,
  name: line(120),
  username: z.string(),
  kind: credentialKind,
  description: z.string().nullable(),
  status: z.enum(['active', 'revoked']),
  latestVersion: version,
  fingerprint: sha256,
  owner: credentialOwner.nullable(),
  /** Of the newest version. */
  expiresAt: instant.nullable(),
  expired: z.boolean(),
  publicKey: z.string().nullable(),
  external: z.string().nullable(),
  rotatedAt: instant.nullable(),
  rotatedBy: credentialOwner.nullable(),
})

export type CredentialCommand = MessageOf<typeof credentialCommands>
export type CredentialInternalCommand = MessageOf<typeof credentialInternalCommands>
export type CredentialEvent = MessageOf<typeof credentialEvents>
export type ReleaseEvent = MessageOf<typeof releaseEvents>
export type CredentialRow = z.output<typeof credentialRow>
