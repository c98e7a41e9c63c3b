import { errors, importJWK, type JWTHeaderParameters, jwtVerify } from 'jose'
import { z } from 'zod'
import { id, instant } from '../../schemas/kernel.ts'
import { type SignInReply, TOKEN_ISSUER, tokenAudience, tokenType } from '../../schemas/sign-in-bus.ts'
import type { Clock } from '../clock.ts'

/** What an access token says (RFC 9068), checked. */
export type AccessToken = {
  userId: string
  sessionId: string
  mfa: boolean
  began: number
  audience: readonly string[]
  digestSecret: string
}
/** What the next step of signing in is shown: whose passphrase was right, and what is still to be done. */
export type Challenge = z.output<typeof challengeClaims>

export type TokenCheck = {
  /** Undefined for everything but a token of ours that is good now. `audience`: the API that is asked. */
  access(token: string, audience: string): Promise<AccessToken | undefined>
  challenge(token: string): Promise<Challenge | undefined>
}
type Keys = SignInReply<'public-keys'>['keys']
type Options = { publicKeys(): Promise<Keys>; clock: Clock }

const accessClaims = z.object({
  sub: id,
  sid: id,
  mfa: z.boolean(),
  began: instant,
  /** The same in every token of a user: see `Principal`. */
  dk: z.string().min(32),
  exp: z.int(),
  aud: z.array(z.string()).or(z.string().transform(one => [one])),
})
const challengeClaims = z.object({
  sub: id,
  step: z.enum(['second-factor', 'change-passphrase']),
  method: z.enum(['passphrase', 'oidc', 'passkey']),
  mfa: z.boolean(),
})

const ASK_AGAIN_MS = 5_000
const FAILED_AGAIN_MS = 500
const KEEP_MS = 600_000
const MOST_REMEMBERED = 10_000

/**
 * Checks tokens against the vault's public keys. Only EdDSA and only keys of that set: what a token says about
 * algorithms and keys of its own (`none`, `jwk`, `jku`, `x5u`) is not looked at (RFC 8725). A token that was checked is
 * remembered until it ends, so that its signature costs once.
 */
export function createTokenCheck({ publicKeys, clock }: Options): TokenCheck {
  const keyOf = keySource(publicKeys, clock)
  const remembered = new Map<string, { token: AccessToken; until: number }>()
  const verify = async (token: string, audience: string, typ: string) => {
    const options = {
      ...{ algorithms: ['EdDSA'], issuer: TOKEN_ISSUER, audience, typ },
      requiredClaims: ['sub', 'iat', 'nbf', 'exp', 'jti'],
      currentDate: new Date(clock.now()),
    }
    return await jwtVerify(token, keyOf, options).then(
      ({ payload }) => payload,
      error => {
        if (error instanceof errors.JOSEError) return undefined
        throw error
      },
    )
  }
  return {
    async access(token, audience) {
      const known = remembered.get(token)
      if (known && known.until > Date.parse(clock.now()) && known.token.audience.includes(audience)) return known.token
      const claims = accessClaims.safeParse(await verify(token, audience, tokenType.access))
      if (!claims.success) return undefined
      const { sub, sid, mfa, began, aud, exp, dk } = claims.data
      const who = { userId: sub, sessionId: sid, mfa, began: Date.parse(began) }
      const checked = { ...who, audience: aud, digestSecret: dk }
      if (remembered.size >= MOST_REMEMBERED) remembered.clear()
      remembered.set(token, { token: checked, until: exp * 1000 })
      return checked
    },
    async challenge(token) {
      const claims = challengeClaims.safeParse(await verify(token, tokenAudience.signIn, tokenType.challenge))
      return claims.success ? claims.data : undefined
    },
  }
}

/**
 * A key that is not known is asked for, but not again and again: anybody can make up names of keys. What is known goes on
 * being good while the vault does not answer.
 */
function keySource(publicKeys: () => Promise<Keys>, clock: Clock) {
  let known: Keys = []
  let failed = false
  let asked = Number.NEGATIVE_INFINITY
  let asking: Promise<unknown> = Promise.resolve()
  const refresh = async () => {
    try {
      known = await publicKeys()
      failed = false
    } catch (error) {
      failed = true
      throw error
    }
  }
  return async ({ kid }: JWTHeaderParameters) => {
    const find = () => known.find(key => key.kid === kid)
    const patience = failed ? FAILED_AGAIN_MS : find() ? KEEP_MS : ASK_AGAIN_MS
    if (clock.monotonic() - asked > patience) {
      asked = clock.monotonic()
      asking = refresh()
      // Told to whoever waits for it.
      asking.catch(() => undefined)
    }
    const key = find() ?? (await asking.then(find))
    if (!key) throw new errors.JWKSNoMatchingKey()
    return await importJWK(key, 'EdDSA')
  }
}
