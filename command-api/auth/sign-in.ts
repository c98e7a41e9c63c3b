import type { Challenge } from '../../infra/access.ts'
import { markTold, ProblemError, type Request } from '../../infra/http/index.ts'
import { sha256Hex } from '../../infra/ids.ts'
import { streams } from '../../schemas/events.ts'
import { type SignInReply, tokenAudience } from '../../schemas/sign-in-bus.ts'
import { type KnownUser, linkIsGood } from '../domain/index.ts'
import { type AuthDeps, addressOf, asSignIn, asUser, metaFor } from './deps.ts'
import type { FailedAttempt } from './failed-attempts.ts'
import { endSession, openSession, type SignedIn, type SignInMethod } from './sessions.ts'
import { createTurns } from './turns.ts'

export type NextStep =
  | SignedIn
  | { status: 'second-factor-needed'; challenge: string; factors: Array<'totp' | 'recovery-code'> }
  | { status: 'passphrase-change-needed'; challenge: string }
type WhyNot = Extract<FailedAttempt, { type: 'LoginFailed' }>['data']['why']
type CodeTried = SignInReply<'check-totp'> | SignInReply<'use-recovery-code'>

/**
 * A login name and a passphrase. Everything that is not right gets one answer, whether there is such a user or not.
 * @throws ProblemError sign-in-failed, rate-limited, vault-unavailable.
 */
export async function byPassphrase(
  deps: AuthDeps,
  request: Request,
  { loginName, passphrase }: { loginName: string; passphrase: string },
): Promise<NextStep> {
  const asked = { who: { loginName }, passphrase, address: addressOf(request) }
  const { userId, verifierId } = await judged(deps, request, await deps.vault.ask('verify-passphrase', asked))
  const user = await userToSignIn(deps, request, userId, verifierId)
  return await nextStep(deps, request, user, { method: 'passphrase', mfa: false })
}

/** The passphrase of somebody who is signed in already, asked for before something that matters. */
export async function confirmPassphrase(
  deps: AuthDeps,
  request: Request,
  userId: string,
  passphrase: string,
): Promise<KnownUser> {
  const asked = { who: { userId }, passphrase, address: addressOf(request) }
  const { verifierId } = await judged(deps, request, await deps.vault.ask('verify-passphrase', asked))
  return await userToSignIn(deps, request, userId, verifierId)
}

async function judged(deps: AuthDeps, request: Request, tried: SignInReply<'verify-passphrase'>) {
  if (tried.outcome === 'verified') return tried
  if (tried.why === 'address') throw new ProblemError('rate-limited')
  const { userId, lockedUntil } = tried
  if (userId !== undefined && lockedUntil !== undefined) noteLock(deps, request, userId, 'passphrase', lockedUntil)
  throw failure(deps, request, tried.why, userId)
}

/** Recorded beside the answer, which must not take longer for those who exist. */
function noteLock(
  deps: AuthDeps,
  request: Request,
  userId: string,
  what: 'passphrase' | 'second-factor',
  until: string,
): void {
  const command = { type: 'lock-user' as const, data: { userId, what, until } }
  const meta = metaFor(deps, request, asSignIn)
  void deps.dispatcher
    .dispatch('user', command, { meta, facts: {} })
    .catch(err => deps.log.error({ err, userId }, 'that a user is locked could not be recorded'))
}

export function failure(deps: AuthDeps, request: Request, why: WhyNot, userId?: string): ProblemError {
  const data = { why, ...(userId !== undefined && { userId }) }
  deps.failed.record({ type: 'LoginFailed', data }, metaFor(deps, request, asSignIn))
  return told(new ProblemError('sign-in-failed'))
}

/** Not told once more as a request that was turned away. */
function told(problem: ProblemError): ProblemError {
  markTold(problem)
  return problem
}

/** The log says which passphrase counts and whether its user may come in. */
async function userToSignIn(deps: AuthDeps, request: Request, userId: string, verifierId: string): Promise<KnownUser> {
  const { state } = await deps.dispatcher.load('user', streams.user(userId))
  if (state.status === 'absent' || state.status === 'erased') throw failure(deps, request, 'unknown')
  if (state.verifierId !== verifierId) throw failure(deps, request, 'wrong-passphrase', userId)
  if (state.status !== 'active') throw failure(deps, request, 'deactivated', userId)
  return state
}

/** What is still to be shown before a session begins, or the session. */
export async function nextStep(
  deps: AuthDeps,
  request: Request,
  user: KnownUser,
  { method, mfa }: { method: SignInMethod; mfa: boolean },
): Promise<NextStep> {
  const { userId } = user
  if (user.factors.size > 0 && !mfa) {
    const challenge = await signChallenge(deps, { sub: userId, step: 'second-factor', method, mfa })
    const factors: Array<'totp' | 'recovery-code'> =
      (user.recovery?.left ?? 0) > 0 ? ['totp', 'recovery-code'] : ['totp']
    return { status: 'second-factor-needed', challenge, factors }
  }
  if (user.changeRequired && method === 'passphrase') {
    const challenge = await signChallenge(deps, { sub: userId, step: 'change-passphrase', method, mfa })
    return { status: 'passphrase-change-needed', challenge }
  }
  return await openSession(deps, request, { userId, method, mfa })
}

async function signChallenge({ vault }: AuthDeps, { sub, ...claims }: Challenge): Promise<string> {
  const asked = { kind: 'challenge' as const, subject: sub, audience: [tokenAudience.signIn], claims }
  return (await vault.ask('sign-token', asked)).token
}

/** @throws ProblemError sign-in-failed for anything but a challenge of ours for this step. */
async function challenged(deps: AuthDeps, token: string, step: Challenge['step']) {
  const challenge = await deps.tokens.challenge(token)
  if (challenge?.step !== step) throw new ProblemError('sign-in-failed')
  const { state } = await deps.dispatcher.load('user', streams.user(challenge.sub))
  if (state.status !== 'active') throw new ProblemError('sign-in-failed')
  return { challenge, user: state }
}

/** A code of an authenticator, or a recovery code in the place of one. */
export async function bySecondFactor(
  deps: AuthDeps,
  request: Request,
  given: { challenge: string; code?: string | undefined; recoveryCode?: string | undefined },
): Promise<NextStep> {
  const { challenge, user } = await challenged(deps, given.challenge, 'second-factor')
  const tried =
    given.code === undefined
      ? await tryRecoveryCode(deps, request, user, given.recoveryCode ?? '')
      : await tryCode(deps, user, given.code)
  codeJudged(deps, request, user.userId, tried)
  return await nextStep(deps, request, user, { method: challenge.method, mfa: true })
}

/** @throws ProblemError sign-in-failed, recorded, for a code that was not right. */
export function codeJudged(deps: AuthDeps, request: Request, userId: string, tried: CodeTried): void {
  if (tried.outcome === 'verified') return
  const { why, lockedUntil } = tried
  if (lockedUntil !== undefined) noteLock(deps, request, userId, 'second-factor', lockedUntil)
  deps.failed.record({ type: 'MfaChallengeFailed', data: { userId, why } }, metaFor(deps, request, asSignIn))
  throw told(new ProblemError('sign-in-failed'))
}

export async function tryCode({ vault }: AuthDeps, user: KnownUser, code: string): Promise<CodeTried> {
  const factorIds = [...user.factors].filter(([, kind]) => kind === 'totp').map(([factorId]) => factorId)
  if (factorIds.length === 0) return { outcome: 'refused', why: 'wrong-code' }
  return await vault.ask('check-totp', { userId: user.userId, factorIds, code })
}

async function tryRecoveryCode(deps: AuthDeps, request: Request, user: KnownUser, code: string): Promise<CodeTried> {
  const { userId, recovery } = user
  if (!recovery) return { outcome: 'refused', why: 'wrong-code' }
  const { setId } = recovery
  const tried = await deps.vault.ask('use-recovery-code', { userId, setId, code })
  if (tried.outcome === 'verified') {
    const command = { type: 'use-recovery-code' as const, data: { userId, setId, left: tried.left } }
    await deps.dispatcher.dispatch('user', command, { meta: metaFor(deps, request, asUser(userId)), facts: {} })
  }
  return tried
}

/** `opsl_<userId without dashes>_<43 base64url>` */
const LINK = /^opsl_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/

/** The first passphrase, or a new one, by the link an administrator made. */
export async function byLink(
  deps: AuthDeps,
  request: Request,
  { link, passphrase }: { link: string; passphrase: string },
): Promise<NextStep> {
  const userId = LINK.exec(link)?.slice(1).join('-')
  if (userId === undefined) throw new ProblemError('link-invalid')
  const linkHash = sha256Hex(link)
  const { state } = await deps.dispatcher.load('user', streams.user(userId))
  if (!linkIsGood(state, linkHash, deps.clock.now())) {
    failure(deps, request, 'link-invalid')
    throw told(new ProblemError('link-invalid'))
  }
  const user = await setPassphrase(deps, request, { userId, passphrase, linkHash })
  return await nextStep(deps, request, user, { method: 'passphrase', mfa: false })
}

/** The change that an administrator asks for, before anything else. */
export async function byRequiredChange(
  deps: AuthDeps,
  request: Request,
  given: { challenge: string; passphrase: string },
): Promise<NextStep> {
  const { challenge, user } = await challenged(deps, given.challenge, 'change-passphrase')
  if (!user.changeRequired) throw new ProblemError('sign-in-failed')
  const changed = await setPassphrase(deps, request, { userId: user.userId, passphrase: given.passphrase })
  return await nextStep(deps, request, changed, { method: challenge.method, mfa: challenge.mfa })
}

/**
 * Kept by the vault, told by the log, then the one that counts; every session there was ends. One after another: the vault
 * forgets the others when one of two comes to count, and the log may name the other one.
 * @throws ProblemError passphrase-refused with what is wrong with it.
 */
export function setPassphrase(deps: AuthDeps, request: Request, given: NewPassphrase): Promise<KnownUser> {
  return inTurn(given.userId, () => changePassphrase(deps, request, given))
}

type NewPassphrase = { userId: string; passphrase: string; linkHash?: string }
const inTurn = createTurns()

async function changePassphrase(
  deps: AuthDeps,
  request: Request,
  { userId, passphrase, linkHash }: NewPassphrase,
): Promise<KnownUser> {
  const { vault, dispatcher, feed } = deps
  const { verifierId, problems } = await vault.ask('prepare-passphrase', { userId, passphrase })
  if (verifierId === null) {
    const errors = problems.map(message => ({ path: 'passphrase', message }))
    throw new ProblemError('passphrase-refused', undefined, errors)
  }
  const data = { userId, verifierId, ...(linkHash !== undefined && { linkHash }) }
  const meta = metaFor(deps, request, asUser(userId))
  await dispatcher.dispatch('user', { type: 'set-passphrase', data }, { meta, facts: {} })
  await vault.ask('activate-passphrase', { userId, verifierId })
  const ended = feed.openSessions(userId).map(sessionId => {
    return endSession(deps, request, { sessionId, why: 'passphrase-changed', by: asUser(userId) })
  })
  await Promise.all(ended)
  const { state } = await dispatcher.load('user', streams.user(userId))
  if (state.status === 'absent') throw new ProblemError('user-not-found')
  return state
}
