import * as openid from 'openid-client'
import { z } from 'zod'
import type { Config, OidcClient } from '../../../infra/config.ts'
import { egressPolicy, guardedFetch } from '../../../infra/egress.ts'
import type { BegunSignIn } from '../../../schemas/sign-in-bus.ts'
import { displayName, email } from '../../../schemas/user.ts'

export type OidcSettings = NonNullable<Config['oidc']>
/** What a provider says of somebody. */
export type Vouched = {
  subject: string
  displayName: string | null
  email: string | null
  groups: readonly string[]
}
/** What came back by way of the browser. */
export type Returned = { state: string; code: string; iss?: string | undefined }

export interface OidcProvider {
  readonly settings: OidcSettings
  /** Where it sends the browser back to: the page, or a port of the browser's own machine. Undefined where none is set. */
  redirectUrl(loopbackPort?: number): string | undefined
  /** Where the browser goes. Rejects when the provider cannot be reached. */
  begin(redirectUrl: string): Promise<{ url: string; state: string; kept: BegunSignIn }>
  /** Exchanges the code. Rejects for whatever does not fit: OpenID Connect Core 3.1.3, RFC 7636, RFC 9207. */
  finish(returned: Returned, kept: BegunSignIn): Promise<Vouched>
}

const SCOPE = 'openid profile email'
const LIMITS = { timeoutMs: 10_000, maxBytes: 1_048_576 }
/** The provider's own description is asked for again after so long. */
const DESCRIPTION_MS = 3_600_000

/** RFC 8252 section 7.3: the address and the path are registered, the port is any. */
const loopback = (port: number) => `http://127.0.0.1:${port}/signed-in`

export function createOidcProvider(settings: OidcSettings): OidcProvider {
  const { page, cli } = settings
  const [byPage, byCli] = [page && describedBy(settings, page), cli && describedBy(settings, cli)]
  const describe = async (redirectUrl: string) => {
    const described = redirectUrl === page?.redirectUrl ? byPage : byCli
    if (!described) throw new Error('no client of the OpenID provider is set for where this sign-in goes')
    return await described()
  }
  return {
    settings,
    redirectUrl(loopbackPort) {
      if (loopbackPort === undefined) return page?.redirectUrl
      return cli && loopback(loopbackPort)
    },
    async begin(redirectUrl) {
      const provider = await describe(redirectUrl)
      const [state, nonce] = [openid.randomState(), openid.randomNonce()]
      const verifier = openid.randomPKCECodeVerifier()
      const url = openid.buildAuthorizationUrl(provider, {
        ...{ redirect_uri: redirectUrl, scope: SCOPE, state, nonce },
        code_challenge: await openid.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      })
      return { url: url.href, state, kept: { verifier, nonce, redirectUrl } }
    },
    async finish({ state, code, iss }, { verifier, nonce, redirectUrl }) {
      const back = new URL(redirectUrl)
      for (const [name, value] of Object.entries({ state, code, iss }))
        if (value !== undefined) back.searchParams.set(name, value)
      const tokens = await openid.authorizationCodeGrant(await describe(redirectUrl), back, {
        ...{ pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce },
        idTokenExpected: true,
      })
      return vouchedFor(tokens.claims() ?? {}, settings.groupsClaim)
    },
  }
}

function describedBy({ issuer, egressAllow }: OidcSettings, { clientId, clientSecret }: OidcClient) {
  const server = new URL(issuer)
  const fetch = guardedFetch(egressPolicy(egressAllow), LIMITS)
  // Signatures are checked although the token comes straight from the provider.
  const execute = [openid.enableNonRepudiationChecks]
  // Only an issuer on loopback may be told in clear: the settings see to that.
  if (server.protocol === 'http:') execute.push(openid.allowInsecureRequests)
  const ask = () =>
    openid.discovery(server, clientId, undefined, clientSecret && openid.ClientSecretBasic(clientSecret.reveal()), {
      ...{ execute, timeout: LIMITS.timeoutMs / 1000, [openid.customFetch]: fetch },
    })
  let known: { at: number; provider: Promise<openid.Configuration> } | undefined
  return async () => {
    if (!known || performance.now() - known.at > DESCRIPTION_MS) {
      const asked = { at: performance.now(), provider: ask() }
      known = asked
      asked.provider.catch(() => {
        if (known === asked) known = undefined
      })
    }
    return await known.provider
  }
}

const claimed = z.object({
  sub: z.string().min(1).max(255),
  name: displayName.nullable().catch(null),
  email: email.nullable().catch(null),
})
const groupNames = z.array(z.string()).max(10_000).catch([])

function vouchedFor(claims: Record<string, unknown>, groupsClaim: string): Vouched {
  const { sub, name, email } = claimed.parse(claims)
  return { subject: sub, displayName: name, email, groups: groupNames.parse(claims[groupsClaim]) }
}
