import { ProblemError, type Request } from '../../../infra/http/index.ts'
import { streams } from '../../../schemas/events.ts'
import type { KnownUser } from '../../domain/index.ts'
import { asSignIn, metaFor } from '../deps.ts'
import { failure, type NextStep, nextStep } from '../sign-in.ts'
import { type MappingDeps, matchGrants } from './mapping.ts'
import type { PendingSignIns } from './pending.ts'
import type { OidcProvider, Returned, Vouched } from './provider.ts'

export type OidcDeps = MappingDeps & { provider: OidcProvider | undefined; pending: PendingSignIns }

/** @throws ProblemError not-found where no provider is set; sign-in-provider-unavailable. */
export async function beginOidc({ provider, pending, log }: OidcDeps): Promise<{ url: string; state: string }> {
  if (!provider) throw new ProblemError('not-found')
  const begun = await provider.begin().catch(err => {
    log.error({ err }, 'the OpenID provider cannot be asked')
    throw new ProblemError('sign-in-provider-unavailable')
  })
  pending.put(begun.state, begun.pending)
  return { url: begun.url, state: begun.state }
}

/**
 * What the provider's redirect carries. Everything that is not right gets one answer.
 * @throws ProblemError sign-in-failed; not-found where no provider is set; vault-unavailable.
 */
export async function finishOidc(deps: OidcDeps, request: Request, returned: Returned): Promise<NextStep> {
  const { provider, log } = deps
  if (!provider) throw new ProblemError('not-found')
  const begun = deps.pending.take(returned.state)
  if (!begun) throw failure(deps, request, 'provider-denied')
  const vouched = await provider.finish(returned, begun).catch((error: unknown) => {
    // Its message may quote what somebody sent: only the kind of it is told.
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    log.info({ code, correlationId: request.id }, 'what came back from the OpenID provider does not hold')
    throw failure(deps, request, 'provider-denied')
  })
  const { issuer } = provider.settings
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
  return state
}
