import { ProblemError, type Request } from '../../../infra/http/index.ts'
import { streams } from '../../../schemas/events.ts'
import type { KnownUser } from '../../domain/index.ts'
import { asSignIn, metaFor } from '../deps.ts'
import { failure, type NextStep, nextStep } from '../sign-in.ts'
import { decideUser } from '../users.ts'
import { type MappingDeps, matchGrants } from './mapping.ts'
import type { OidcProvider, Returned, Vouched } from './provider.ts'

export type OidcDeps = MappingDeps & { provider: OidcProvider | undefined }
export type Begun = { url: string; state: string; begun: string }

/**
 * Nothing is kept here: what belongs to this sign-in is sealed by the vault and comes back, to whatever process.
 * @throws ProblemError not-found where no provider is set for this way; sign-in-provider-unavailable; vault-unavailable.
 */
export async function beginOidc({ provider, vault, log }: OidcDeps, loopbackPort?: number): Promise<Begun> {
  const redirectUrl = provider?.redirectUrl(loopbackPort)
  if (!provider || redirectUrl === undefined)
    throw new ProblemError('not-found', 'No OpenID provider is set up for signing in this way')
  const { url, state, kept } = await provider.begin(redirectUrl).catch(err => {
    log.error({ err }, 'the OpenID provider cannot be asked')
    throw new ProblemError('sign-in-provider-unavailable')
  })
  const { issuer } = provider.settings
  return { url, state, ...(await vault.ask('keep-begun', { issuer, state, kept })) }
}

/**
 * What the provider's redirect carries. Everything that is not right gets one answer.
 * @throws ProblemError sign-in-failed; not-found where no provider is set; rate-limited; vault-unavailable.
 */
export async function finishOidc(
  deps: OidcDeps,
  request: Request,
  { begun, ...returned }: Returned & { begun: string },
): Promise<NextStep> {
  const { provider, vault, log } = deps
  if (!provider) throw new ProblemError('not-found')
  const { issuer } = provider.settings
  const took = await vault.ask('take-begun', { issuer, state: returned.state, begun })
  if (took.outcome === 'refused') {
    if (took.why === 'too-many') throw new ProblemError('rate-limited')
    throw failure(deps, request, 'provider-denied')
  }
  const vouched = await provider.finish(returned, took.kept).catch((error: unknown) => {
    // Its message may quote what somebody sent: only the kind of it is told.
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    log.info({ code, correlationId: request.id }, 'what came back from the OpenID provider does not hold')
    throw failure(deps, request, 'provider-denied')
  })
  const user = await externalUser(deps, request, issuer, vouched)
  await matchGrants(deps, request, { userId: user.userId, settings: provider.settings, groups: vouched.groups })
  return await nextStep(deps, request, user, { method: 'oidc', mfa: false })
}

/** Somebody by their issuer and subject, never by an address that may be given to others. */
async function externalUser(deps: OidcDeps, request: Request, issuer: string, vouched: Vouched): Promise<KnownUser> {
  const { dispatcher, vault, ids } = deps
  const { subject, displayName, email } = vouched
  const asked = { userId: ids.next(), issuer, subject, displayName, email }
  const { userId, loginIndex } = await vault.ask('external-subject', asked)
  const meta = metaFor(deps, request, asSignIn)
  const command = { type: 'register-external-user' as const, data: { userId, loginIndex, issuer } }
  await dispatcher.dispatch('user', command, { meta, facts: {} })
  const { state } = await dispatcher.load('user', streams.user(userId))
  if (state.status === 'absent' || state.issuer !== issuer) throw failure(deps, request, 'unknown')
  if (state.status !== 'active') throw failure(deps, request, 'deactivated', userId)
  await takeProfile(deps, request, userId, vouched)
  return state
}

/** What the provider says now counts; what it says nothing of stays. Nothing is recorded where nothing changed. */
async function takeProfile(deps: OidcDeps, request: Request, userId: string, { displayName, email }: Vouched) {
  const said = { ...(displayName !== null && { displayName }), ...(email !== null && { email }) }
  const command = { type: 'change-user-profile' as const, data: { userId, ...said } }
  const { dispatcher, vault: signIn } = deps
  await decideUser({ dispatcher, signIn }, command, { meta: metaFor(deps, request, asSignIn) })
}
