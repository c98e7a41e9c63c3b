import { z } from 'zod'
import { id, instant, line, type MessageOf, reason, sha256 } from './kernel.ts'

/** What somebody signs in by: any printable text; its case, its width and blanks around it make no difference. */
export const loginName = line(120)
/** How long one may be. What makes a good one is judged by the vault, which alone sees it. */
export const passphrase = z.string().min(1).max(1024)
export const displayName = line(200)
export const email = z.email().max(254)
const person = { loginName, displayName: displayName.optional(), email: email.optional() }
/** How long a link to set a passphrase is good for. */
const linkSeconds = z.int().min(300).max(2_592_000)

export const userCommands = {
  'create-user': z.strictObject({ userId: id.optional(), ...person, linkSeconds: linkSeconds.default(604_800) }),
  'change-user-profile': z.strictObject({
    userId: id,
    loginName: loginName.optional(),
    displayName: displayName.nullable().optional(),
    email: email.nullable().optional(),
  }),
  'create-reset-link': z.strictObject({ userId: id, reason, linkSeconds: linkSeconds.default(86_400) }),
  'require-passphrase-change': z.strictObject({ userId: id, reason }),
  'unlock-user': z.strictObject({ userId: id, reason }),
  'remove-second-factors': z.strictObject({ userId: id, reason }),
  'deactivate-user': z.strictObject({ userId: id, reason }),
  'reactivate-user': z.strictObject({ userId: id, reason }),
  'place-legal-hold': z.strictObject({ userId: id, reason }),
  'release-legal-hold': z.strictObject({ userId: id, reason }),
  'erase-personal-data': z.strictObject({ userId: id, reason }),
}

export const factorKind = z.enum(['totp', 'passkey'])
const locked = z.enum(['passphrase', 'second-factor'])
const profileField = z.enum(['loginName', 'displayName', 'email'])

/** What signing in records about a user; asked by nobody but the control plane. */
export const userInternalCommands = {
  /** A passphrase the vault has judged and keeps: by a link that is used up by it, or by the user who knew the old one. */
  'set-passphrase': z.strictObject({ userId: id, verifierId: id, linkHash: sha256.optional() }),
  'enrol-second-factor': z.strictObject({ userId: id, factorId: id, kind: factorKind }),
  'remove-second-factor': z.strictObject({ userId: id, factorId: id }),
  'issue-recovery-codes': z.strictObject({ userId: id, setId: id, count: z.int().min(1) }),
  'use-recovery-code': z.strictObject({ userId: id, setId: id, left: z.int().min(0) }),
  'lock-user': z.strictObject({ userId: id, what: locked, until: instant }),
  /** Somebody whom a trusted OpenID provider vouches for came for the first time. */
  'register-external-user': z.strictObject({ userId: id, loginIndex: sha256, issuer: z.string().max(500) }),
}

/**
 * The vault's word, signed by its own Ed25519 key, that the key of a person's data is destroyed: `signature` in base64url
 * over `opsconductor erasure|<userId>|<erasedAt>|<dataKeyDigest>|<records>`. `publicKey`: raw 32 bytes in base64url.
 */
export const erasureCertificate = z.object({
  userId: id,
  erasedAt: instant,
  dataKeyDigest: sha256.describe('SHA-256 of the wrapped key that was destroyed'),
  records: z.int().min(0).describe('How many sealed records became unreadable'),
  publicKey: z.string(),
  signature: z.string(),
})
export type ErasureCertificate = z.output<typeof erasureCertificate>
/** What the signature of a certificate is over. */
export const erasureText = (c: Omit<ErasureCertificate, 'signature' | 'publicKey'>): string =>
  `opsconductor erasure|${c.userId}|${c.erasedAt}|${c.dataKeyDigest}|${c.records}`

/** Names and addresses of people are in the vault, never here: `loginIndex` is keyed by it (HMAC-SHA256). */
export const userEvents = {
  UserInvited: z.object({ userId: id, loginIndex: sha256, linkHash: sha256, linkExpiresAt: instant }),
  UserRegistered: z.object({ userId: id, loginIndex: sha256, issuer: z.string() }),
  UserProfileChanged: z.object({ userId: id, fields: z.array(profileField), loginIndex: sha256.optional() }),
  UserPasswordResetRequested: z.object({ userId: id, linkHash: sha256, linkExpiresAt: instant, reason }),
  UserPasswordChanged: z.object({ userId: id, verifierId: id, by: z.enum(['link', 'user']) }),
  UserPasswordChangeRequired: z.object({ userId: id, reason }),
  UserLocked: z.object({ userId: id, what: locked, until: instant }),
  UserUnlocked: z.object({ userId: id, reason }),
  MfaFactorEnrolled: z.object({ userId: id, factorId: id, kind: factorKind }),
  MfaFactorRemoved: z.object({ userId: id, factorId: id, reason: reason.optional() }),
  RecoveryCodesIssued: z.object({ userId: id, setId: id, count: z.int().min(1) }),
  RecoveryCodeUsed: z.object({ userId: id, setId: id, left: z.int().min(0) }),
  UserDeactivated: z.object({ userId: id, reason }),
  UserReactivated: z.object({ userId: id, reason }),
  LegalHoldPlaced: z.object({ userId: id, reason }),
  LegalHoldReleased: z.object({ userId: id, reason }),
  ErasureDeferred: z.object({ userId: id, reason }),
  UserPersonalDataErased: z.object({ userId: id, reason, certificate: erasureCertificate }),
}

export const userStatus = z.enum(['invited', 'active', 'deactivated', 'erased'])
export const userRow = z.object({
  userId: id,
  name: z.string().describe('The same as its id: who is meant is kept in the vault'),
  status: userStatus,
  secondFactor: z.boolean(),
  recoveryCodesLeft: z.int(),
  passphraseChangeRequired: z.boolean(),
  lockedUntil: instant.nullable(),
  legalHold: z.boolean(),
  erasureDeferred: z.boolean(),
  certificate: erasureCertificate.nullable(),
  sessionsFrom: instant.nullable().describe('Sessions that began before count as ended'),
})

/** What the vault says of a person, beside what the log says. */
export const personName = z.object({
  loginName: z.string().describe('`[erased]` once it is'),
  displayName: z.string().nullable(),
  email: z.string().nullable(),
})

export type UserCommand = MessageOf<typeof userCommands>
export type UserInternalCommand = MessageOf<typeof userInternalCommands>
export type UserEvent = MessageOf<typeof userEvents>
export type UserRow = z.output<typeof userRow>
