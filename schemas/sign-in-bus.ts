import { z } from 'zod'
import { id, instant, sha256 } from './kernel.ts'
import { displayName, email, erasureCertificate, loginName, passphrase } from './user.ts'

const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/)
const address = z.string().max(64)
const profile = z.object({
  loginName: z.string(),
  displayName: z.string().nullable(),
  email: z.string().nullable(),
})
/** A code from an authenticator or a recovery code, as somebody typed it. */
export const typedCode = z.string().min(1).max(64)
const nothing = z.object({})
const oidcState = z.string().min(1).max(4_000)
/** Made up for one sign-in by a provider: RFC 7636 section 4.1, OpenID Connect Core section 3.1.2.1. */
const begunSignIn = z.strictObject({
  verifier: z.string().max(128),
  nonce: z.string().max(128),
  redirectUrl: z.string().max(2_000),
})
export type BegunSignIn = z.output<typeof begunSignIn>

/** For an API that checks tokens: a JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037). */
export const publicKeySet = z.object({
  keys: z.array(
    z.object({
      kty: z.literal('OKP'),
      crv: z.literal('Ed25519'),
      x: base64url,
      kid: z.string(),
      use: z.literal('sig'),
      alg: z.literal('EdDSA'),
    }),
  ),
})

const tried = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('verified'), userId: id, verifierId: id }),
  z.object({
    outcome: z.literal('refused'),
    why: z.enum(['unknown', 'wrong-passphrase', 'locked', 'no-passphrase', 'address']),
    userId: id.optional(),
    /** This very attempt was the last one for now. */
    lockedUntil: instant.optional(),
  }),
])
const codeTried = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('verified'), factorId: id }),
  z.object({
    outcome: z.literal('refused'),
    why: z.enum(['wrong-code', 'used-code', 'locked']),
    lockedUntil: instant.optional(),
  }),
])

/** What the API asks of the vault to sign people in: name → what it sends and what comes back. */
export const signInOperations = {
  /** A new person under a new data key; `null` where the login name is somebody's or the id is. */
  'create-subject': {
    request: z.strictObject({
      userId: id,
      loginName,
      displayName: displayName.nullable(),
      email: email.nullable(),
    }),
    reply: z.object({ loginIndex: sha256.nullable() }),
  },
  /** The person whom a provider calls so; made under `userId` when nobody is. `loginIndex` is keyed, of issuer and subject. */
  'external-subject': {
    request: z.strictObject({
      userId: id,
      issuer: z.string().max(500),
      subject: z.string().min(1).max(255),
      displayName: displayName.nullable(),
      email: email.nullable(),
    }),
    reply: z.object({ userId: id, loginIndex: sha256 }),
  },
  /** What whoever goes to the provider has to bring back: sealed, bound to `issuer` and `state`, good for ten minutes. */
  'keep-begun': {
    request: z.strictObject({ issuer: z.string().max(500), state: oidcState, kept: begunSignIn }),
    reply: z.object({ begun: z.string() }),
  },
  /** Each is taken once, over restarts and for all processes. */
  'take-begun': {
    request: z.strictObject({ issuer: z.string().max(500), state: oidcState, begun: z.string().max(4_000) }),
    reply: z.discriminatedUnion('outcome', [
      z.object({ outcome: z.literal('taken'), kept: begunSignIn }),
      z.object({ outcome: z.literal('refused'), why: z.enum(['unknown', 'expired', 'taken', 'too-many']) }),
    ]),
  },
  'change-profile': {
    request: z.strictObject({
      userId: id,
      loginName: loginName.optional(),
      displayName: displayName.nullable().optional(),
      email: email.nullable().optional(),
    }),
    reply: z.discriminatedUnion('outcome', [
      z.object({
        outcome: z.literal('changed'),
        fields: z.array(z.enum(['loginName', 'displayName', 'email'])),
        loginIndex: sha256.optional(),
      }),
      z.object({ outcome: z.literal('taken') }),
      z.object({ outcome: z.literal('unknown') }),
    ]),
  },
  profiles: {
    request: z.strictObject({ userIds: z.array(id).max(500) }),
    reply: z.object({ profiles: z.record(id, profile) }),
  },
  'find-login': {
    request: z.strictObject({ loginName }),
    reply: z.object({ userId: id.nullable() }),
  },
  /** Judges and keeps a passphrase; it counts once it is activated. */
  'prepare-passphrase': {
    request: z.strictObject({ userId: id, passphrase }),
    reply: z.object({ verifierId: id.nullable(), problems: z.array(z.string()) }),
  },
  'activate-passphrase': { request: z.strictObject({ userId: id, verifierId: id }), reply: nothing },
  /** By login name, as somebody typed it, or of a user who is known already. */
  'verify-passphrase': {
    request: z.strictObject({
      who: z.union([z.strictObject({ loginName }), z.strictObject({ userId: id })]),
      passphrase,
      address,
    }),
    reply: tried,
  },
  'forget-attempts': { request: z.strictObject({ userId: id }), reply: nothing },
  'begin-totp': {
    request: z.strictObject({ userId: id }),
    reply: z.object({ factorId: id, secret: z.string(), uri: z.string() }),
  },
  /** Each code is good once, for one of these factors. */
  'check-totp': {
    request: z.strictObject({ userId: id, factorIds: z.array(id).min(1).max(20), code: typedCode }),
    reply: codeTried,
  },
  'issue-recovery-codes': {
    request: z.strictObject({ userId: id, setId: id }),
    reply: z.object({ codes: z.array(z.string()) }),
  },
  'use-recovery-code': {
    request: z.strictObject({ userId: id, setId: id, code: typedCode }),
    reply: z.discriminatedUnion('outcome', [
      z.object({ outcome: z.literal('verified'), left: z.int().min(0) }),
      z.object({
        outcome: z.literal('refused'),
        why: z.enum(['wrong-code', 'used-code', 'locked']),
        lockedUntil: instant.optional(),
      }),
    ]),
  },
  /** Destroys what was enrolled and counts no more. */
  'keep-factors': {
    request: z.strictObject({ userId: id, factorIds: z.array(id).max(20), setId: id.nullable() }),
    reply: nothing,
  },
  /** `expiresAt` is never later than what the kind of token allows. */
  'sign-token': {
    request: z.strictObject({
      kind: z.enum(['access', 'challenge']),
      subject: id,
      audience: z.array(z.string().max(100)).min(1).max(4),
      claims: z.record(z.string(), z.union([z.string(), z.boolean()])),
      notAfter: instant.optional(),
    }),
    reply: z.object({ token: z.string(), expiresAt: instant }),
  },
  'public-keys': { request: z.strictObject({}), reply: publicKeySet },
  /** Destroys the key of a person's data. Asked again, it answers the same certificate. */
  'erase-subject': {
    request: z.strictObject({ userId: id }),
    reply: z.object({ certificate: erasureCertificate.nullable() }),
  },
} as const
export type SignInOperations = typeof signInOperations
export type SignInOperation = keyof SignInOperations
export type SignInRequest<O extends SignInOperation> = z.output<SignInOperations[O]['request']>
export type SignInReply<O extends SignInOperation> = z.output<SignInOperations[O]['reply']>

/**
 * On the bus both ways are HPKE (as `sealRequest`): the question to the vault's public key with `info` =
 * `opsconductor sign-in|<requestId>`, plaintext = JSON `{operation, data, replyKey}`; the answer to `replyKey` with `info` =
 * `opsconductor sign-in answer|<requestId>`, plaintext = JSON of the reply.
 */
export const signInRequest = z.strictObject({ requestId: id, keyId: z.string(), enc: base64url, ciphertext: base64url })
export const signInQuestion = z.strictObject({
  operation: z.string(),
  data: z.unknown(),
  replyKey: base64url,
})
export const signInReply = z.union([
  z.strictObject({ enc: base64url, ciphertext: base64url }),
  z.strictObject({ error: z.enum(['unknown-key', 'cannot-open', 'busy', 'unavailable']), detail: z.string() }),
])
export const signInInfo = (requestId: string): string => `opsconductor sign-in|${requestId}`
export const signInAnswerInfo = (requestId: string): string => `opsconductor sign-in answer|${requestId}`

/** Who issues tokens, and for which API each is good. */
export const TOKEN_ISSUER = 'urn:opsconductor'
export const tokenAudience = {
  commands: 'urn:opsconductor:command-api',
  queries: 'urn:opsconductor:query-api',
  /** For the next step of signing in only: nothing else takes it. */
  signIn: 'urn:opsconductor:sign-in',
} as const
/** `typ` of a token (RFC 9068): one kind is never taken for another. */
export const tokenType = { access: 'at+jwt', challenge: 'opsconductor-challenge+jwt' } as const
