import { ProblemError, type Request } from '../../infra/http/index.ts'
import type { Scope } from '../../schemas/access.ts'
import { streams } from '../../schemas/events.ts'
import type { Actor } from '../../schemas/kernel.ts'
import type { KnownUser } from '../domain/index.ts'
import { decideApiKey } from './api-keys.ts'
import { type AuthDeps, metaFor } from './deps.ts'
import { endSession, openSession, type SignedIn } from './sessions.ts'
import type { ShownOnce } from './shown-once.ts'
import { codeJudged, confirmPassphrase, setPassphrase } from './sign-in.ts'

/** Somebody who is signed in, changing what is their own. */
export type Self = { actor: Actor; userId: string; sessionId: string }

/** @throws ProblemError forbidden for a key or an administrator of the key file: they are not people. */
export function selfOf(request: Request): Self {
  const actor = request.principal?.actor
  if (actor?.kind !== 'user' || actor.sessionId === undefined)
    throw new ProblemError('forbidden', 'Only for somebody who is signed in')
  return { actor, userId: actor.id, sessionId: actor.sessionId }
}

async function userOf({ dispatcher }: AuthDeps, { userId }: Self): Promise<KnownUser> {
  const { state } = await dispatcher.load('user', streams.user(userId))
  if (state.status === 'absent') throw new ProblemError('user-not-found')
  return state
}

/** All sessions end, this one too: the answer holds the tokens of a new one. */
export async function changeOwnPassphrase(
  deps: AuthDeps,
  request: Request,
  given: { current: string; passphrase: string },
): Promise<SignedIn> {
  const self = selfOf(request)
  const { userId, actor } = self
  await confirmPassphrase(deps, request, userId, given.current)
  await setPassphrase(deps, request, { userId, passphrase: given.passphrase })
  return await openSession(deps, request, { userId, method: 'passphrase', mfa: actor.mfa === true })
}

/** A seed for an authenticator. Nothing counts before a code of it was shown. */
export async function beginTotp(deps: AuthDeps, request: Request, { passphrase }: { passphrase: string }) {
  const { userId } = selfOf(request)
  await confirmPassphrase(deps, request, userId, passphrase)
  return await deps.vault.ask('begin-totp', { userId })
}

/** The first factor comes with recovery codes, which are shown this once. */
export async function confirmTotp(deps: AuthDeps, request: Request, given: { factorId: string; code: string }) {
  const self = selfOf(request)
  const { userId, actor } = self
  const { factorId, code } = given
  codeJudged(deps, request, userId, await deps.vault.ask('check-totp', { userId, factorIds: [factorId], code }))
  const command = { type: 'enrol-second-factor' as const, data: { userId, factorId, kind: 'totp' as const } }
  await deps.dispatcher.dispatch('user', command, { meta: metaFor(deps, request, actor), facts: {} })
  const { recovery } = await userOf(deps, self)
  return { factorId, recoveryCodes: recovery ? null : await issueCodes(deps, request, self) }
}

/** Other sessions end; they began without what is asked for from now on. */
export async function removeTotp(deps: AuthDeps, request: Request, given: { factorId: string; passphrase: string }) {
  const self = selfOf(request)
  const { userId, actor } = self
  await confirmPassphrase(deps, request, userId, given.passphrase)
  const command = { type: 'remove-second-factor' as const, data: { userId, factorId: given.factorId } }
  await deps.dispatcher.dispatch('user', command, { meta: metaFor(deps, request, actor), facts: {} })
  const { factors, recovery } = await userOf(deps, self)
  await deps.vault.ask('keep-factors', { userId, factorIds: [...factors.keys()], setId: recovery?.setId ?? null })
  return await openSession(deps, request, { userId, method: 'passphrase', mfa: actor.mfa === true && factors.size > 0 })
}

export async function newRecoveryCodes(deps: AuthDeps, request: Request, { passphrase }: { passphrase: string }) {
  const self = selfOf(request)
  const user = await confirmPassphrase(deps, request, self.userId, passphrase)
  if (user.factors.size === 0) throw new ProblemError('second-factor-unknown', 'Enrol a second factor first')
  return { recoveryCodes: await issueCodes(deps, request, self) }
}

async function issueCodes(deps: AuthDeps, request: Request, { userId, actor }: Self): Promise<string[]> {
  const setId = deps.ids.next()
  const { codes } = await deps.vault.ask('issue-recovery-codes', { userId, setId })
  const command = { type: 'issue-recovery-codes' as const, data: { userId, setId, count: codes.length } }
  await deps.dispatcher.dispatch('user', command, { meta: metaFor(deps, request, actor), facts: {} })
  const { factors } = await userOf(deps, { userId, actor, sessionId: '' })
  await deps.vault.ask('keep-factors', { userId, factorIds: [...factors.keys()], setId })
  return codes
}

/** One session of one's own, or all others. Answers how many were ended. */
export async function endOwnSessions(
  deps: AuthDeps,
  request: Request,
  given: { sessionId?: string | undefined; others?: true | undefined },
): Promise<{ ended: number }> {
  const { userId, sessionId: mine, actor } = selfOf(request)
  const open = deps.feed.openSessions(userId)
  const wanted = given.others ? open.filter(id => id !== mine) : open.filter(id => id === given.sessionId)
  if (!given.others && wanted.length === 0) throw new ProblemError('session-not-found')
  await Promise.all(wanted.map(sessionId => endSession(deps, request, { sessionId, why: 'user', by: actor })))
  return { ended: wanted.length }
}

type OwnKey = {
  name: string
  permissions?: string[] | undefined
  scopes?: Scope[] | undefined
  expiresSeconds: number
}

export async function issueOwnKey(deps: AuthDeps, request: Request, given: OwnKey): Promise<ShownOnce> {
  const { userId, actor } = selfOf(request)
  const { name, permissions, scopes, expiresSeconds } = given
  const owner = { kind: 'user' as const, id: userId }
  const keyId = deps.ids.next()
  const data = { keyId, name, owner, expiresSeconds, ...(permissions && { permissions }), ...(scopes && { scopes }) }
  const rest = { meta: metaFor(deps, request, actor), isNew: true }
  return (await decideApiKey(deps, { type: 'issue-api-key', data }, rest)) as ShownOnce
}

export async function revokeOwnKey(deps: AuthDeps, request: Request, { keyId }: { keyId: string }) {
  const { userId, actor } = selfOf(request)
  const key = deps.feed.facts.keys.get(keyId)
  if (key?.owner.id !== userId) throw new ProblemError('api-key-not-found')
  const command = { type: 'revoke-api-key' as const, data: { keyId, reason: 'by its owner' } }
  return await decideApiKey(deps, command, { meta: metaFor(deps, request, actor) })
}

/** Who is asked by whom this is: the same for people, keys and the administrators of the key file. */
export async function whoAmI({ vault, dispatcher }: AuthDeps, request: Request) {
  const actor = request.principal?.actor
  if (!actor) throw new ProblemError('unauthenticated')
  if (actor.kind !== 'user') return { actor, user: null }
  const [{ profiles }, { state }] = await Promise.all([
    vault.ask('profiles', { userIds: [actor.id] }),
    dispatcher.load('user', streams.user(actor.id)),
  ])
  if (state.status === 'absent') return { actor, user: null }
  const profile = profiles[actor.id] ?? { loginName: '[erased]', displayName: null, email: null }
  const factors = [...state.factors].map(([factorId, kind]) => ({ factorId, kind }))
  return { actor, user: { userId: actor.id, ...profile, factors, recoveryCodesLeft: state.recovery?.left ?? 0 } }
}
