import { z } from 'zod'
import { id, instant, type MessageOf, reason, sha256 } from './kernel.ts'

export const signInMethod = z.enum(['passphrase', 'oidc', 'passkey'])

export const sessionCommands = {
  'revoke-session': z.strictObject({ sessionId: id, reason }),
}

/** Why a session is over although nobody signed out. */
export const sessionEnd = z.enum([
  'administrator',
  'user',
  'passphrase-changed',
  'second-factor-changed',
  'user-deactivated',
  'reuse',
  'too-many',
  'inactive',
  'expired',
])

export const sessionInternalCommands = {
  'start-session': z.strictObject({
    sessionId: id,
    userId: id,
    method: signInMethod,
    mfa: z.boolean(),
    refreshHash: sha256,
    /** How long it may stay unused, and how long it lasts at most. */
    idleSeconds: z.int().min(60),
    lifeSeconds: z.int().min(60),
  }),
  /** Shows one refresh token and gets the next: each is good once. */
  'rotate-refresh-token': z.strictObject({ sessionId: id, presentedHash: sha256, nextHash: sha256 }),
  'sign-out': z.strictObject({ sessionId: id }),
  'end-session': z.strictObject({ sessionId: id, why: sessionEnd }),
}

/** Of refresh tokens only the SHA-256 is kept: 256 random bits need no slower hash. */
export const sessionEvents = {
  SessionStarted: z.object({
    sessionId: id,
    userId: id,
    method: signInMethod,
    mfa: z.boolean(),
    refreshHash: sha256,
    startedAt: instant,
    idleSeconds: z.int().min(60),
    expiresAt: instant,
  }),
  RefreshTokenRotated: z.object({ sessionId: id, userId: id, refreshHash: sha256, at: instant }),
  /** A refresh token that was used up came again: it, or the one after it, is in other hands. */
  RefreshTokenReuseDetected: z.object({ sessionId: id, userId: id, usedHash: sha256 }),
  SessionRevoked: z.object({ sessionId: id, userId: id, why: sessionEnd, reason: reason.optional() }),
  LoggedOut: z.object({ sessionId: id, userId: id }),
}

export const sessionRow = z.object({
  sessionId: id,
  name: z.string().describe('The same as its id'),
  userId: id,
  status: z.enum(['active', 'ended']),
  method: signInMethod,
  mfa: z.boolean(),
  startedAt: instant,
  lastUsedAt: instant,
  expiresAt: instant,
  ip: z.string().nullable(),
  userAgent: z.string().nullable(),
  endedBy: sessionEnd.or(z.literal('signed-out')).nullable(),
})

/**
 * Stream `signin-<attemptId>`: attempts that failed, as far as their number lets each be told; the rest are counted.
 * `userId` is known only where the login name is somebody's.
 */
export const signInEvents = {
  LoginFailed: z.object({
    attemptId: id,
    userId: id.optional(),
    why: z.enum([
      'unknown',
      'wrong-passphrase',
      'locked',
      'deactivated',
      'no-passphrase',
      'link-invalid',
      'not-permitted',
      'provider-denied',
    ]),
  }),
  MfaChallengeFailed: z.object({
    attemptId: id,
    userId: id,
    why: z.enum(['wrong-code', 'used-code', 'locked']),
  }),
  LoginFailuresCounted: z.object({ attemptId: id, since: instant, count: z.int().min(1) }),
}

export type SessionCommand = MessageOf<typeof sessionCommands & typeof sessionInternalCommands>
export type SessionEvent = MessageOf<typeof sessionEvents>
export type SignInEvent = MessageOf<typeof signInEvents>
export type SessionRow = z.output<typeof sessionRow>
export type SessionEnd = z.output<typeof sessionEnd>
