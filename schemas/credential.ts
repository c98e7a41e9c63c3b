import { z } from 'zod'
import { id, line, type MessageOf, name, reason, sha256 } from './kernel.ts'
import { stepRunId } from './steps/base.ts'

export const credentialKind = z.enum(['ssh-key', 'password'])
/** Login names of POSIX and of Windows (DOMAIN\user, user@realm). */
export const username = z
  .string()
  .regex(/^[A-Za-z0-9._@\\$-]{1,104}$/, 'a login name')
  .refine(u => !u.startsWith('-'), 'must not begin with -')

/** Secret material. Lives in a command body for the moment it takes to seal it; never in an event, log or error. */
export const secretMaterial = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('ssh-key'),
    privateKey: z.string().min(32).max(20_000),
    passphrase: z.string().min(1).max(1024).optional(),
  }),
  z.strictObject({ kind: z.literal('password'), password: z.string().min(1).max(4096) }),
])
export type SecretMaterial = z.output<typeof secretMaterial>

/** What the vault answers when it has sealed a secret durably: references only, nothing secret. */
export const sealed = z.strictObject({
  sealId: id,
  kekId: z.string().min(1).max(120),
  fingerprint: sha256,
  ciphertextDigest: sha256,
})
export type Sealed = z.output<typeof sealed>

export const credentialCommands = {
  'create-credential': z.strictObject({
    credentialId: id.optional(),
    name,
    username,
    description: line(500).optional(),
    secret: secretMaterial,
  }),
  'add-credential-version': z.strictObject({ credentialId: id, secret: secretMaterial, reason: reason.optional() }),
  'revoke-credential': z.strictObject({ credentialId: id, reason }),
}

const version = z.int().min(1)
export const credentialEvents = {
  CredentialCreated: z.object({
    credentialId: id,
    name,
    username,
    kind: credentialKind,
    description: line(500).optional(),
  }),
  CredentialVersionAdded: z.object({
    credentialId: id,
    version,
    kind: credentialKind,
    ...sealed.shape,
    reason: reason.optional(),
  }),
  CredentialRevoked: z.object({ credentialId: id, reason }),
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
})

export type CredentialCommand = MessageOf<typeof credentialCommands>
export type CredentialEvent = MessageOf<typeof credentialEvents>
export type ReleaseEvent = MessageOf<typeof releaseEvents>
export type CredentialRow = z.output<typeof credentialRow>
