import { timingSafeEqual } from 'node:crypto'
import { tokenAudience } from '../../schemas/sign-in-bus.ts'
import type { Clock } from '../clock.ts'
import { sha256Hex } from '../ids.ts'
import { type Holder, holderOf } from './holder.ts'
import { rolesOf } from './judge.ts'
import { type SignInFacts, sessionCounts } from './sign-in-facts.ts'
import type { TokenCheck } from './tokens.ts'
import { type AccessState, principalKey } from './types.ts'

/** `opsk_<keyId without dashes>_<43 base64url>` */
const API_KEY = /^opsk_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/** Who comes with what is in the Authorization header: an administrator's key, an API key, an access token. */
export type Authentication = (
  presented: string,
  request: { method: string },
) => Holder | undefined | Promise<Holder | undefined>

export type AuthenticationDeps = {
  administrators: (key: string) => Holder | undefined
  tokens: TokenCheck
  facts: () => SignInFacts
  access: () => AccessState
  clock: Clock
  /** An API key that is not known yet may have been issued a moment ago. */
  refresh?: () => Promise<void>
  /** Told whenever a key is used. */
  keyUsed?: (keyId: string) => void
}

/** Reading and writing are two audiences: a token for the one is not taken for the other. */
export const audienceOf = (method: string): string =>
  method === 'GET' || method === 'HEAD' ? tokenAudience.queries : tokenAudience.commands

export function createAuthentication(deps: AuthenticationDeps): Authentication {
  return (presented, { method }) => {
    const keyId = apiKeyIdOf(presented)
    if (keyId !== undefined) return byApiKey(deps, keyId, presented)
    if (TOKEN.test(presented)) return byToken(deps, presented, audienceOf(method))
    return deps.administrators(presented)
  }
}

/** The id of an API key, or undefined for what does not look like one. */
export const apiKeyIdOf = (presented: string): string | undefined => API_KEY.exec(presented)?.slice(1).join('-')

async function byToken(deps: AuthenticationDeps, presented: string, audience: string): Promise<Holder | undefined> {
  const { tokens, facts, access, clock } = deps
  const token = await tokens.access(presented, audience)
  if (!token || !sessionCounts(facts(), token)) return undefined
  const { userId, sessionId, mfa } = token
  const who = { kind: 'user' as const, id: userId }
  const roles = rolesOf(access(), who, Date.parse(clock.now()))
  const actor = { ...who, sessionId, mfa, roles: [...roles] }
  const holder = holderOf({ state: access, who, actor, clock })
  return { ...whileLasting(holder, () => sessionCounts(facts(), token)), digestSecret: token.digestSecret }
}

async function byApiKey(deps: AuthenticationDeps, keyId: string, presented: string): Promise<Holder | undefined> {
  const { facts, access, clock, refresh, keyUsed } = deps
  if (!facts().keys.has(keyId)) await refresh?.()
  const known = facts().keys.get(keyId)
  // Hashed in any case, so that whether there is such a key does not show.
  const presentedHash = Buffer.from(sha256Hex(presented), 'hex')
  const same = timingSafeEqual(Buffer.from(known?.secretHash ?? '0'.repeat(64), 'hex'), presentedHash)
  if (!known || !same) return undefined
  const who = { kind: 'api-key' as const, id: keyId }
  const holder = holderOf({
    ...{ state: access, who, clock },
    actor: {
      ...who,
      onBehalfOf: principalKey(known.owner),
      roles: [...rolesOf(access(), known.owner, Date.parse(clock.now()))],
    },
  })
  // Whoever may not even look at itself is expired, or its owner is no longer active.
  if (!holder.permits('self:read')) return undefined
  keyUsed?.(keyId)
  return whileLasting(holder, () => facts().keys.has(keyId))
}

/** Asked again later, as open streams do, somebody whose session or key has ended may do nothing. */
function whileLasting(holder: Holder, lasts: () => boolean): Holder {
  return {
    actor: holder.actor,
    permits: permission => lasts() && holder.permits(permission),
    permitsOn: (permission, resource) => lasts() && holder.permitsOn(permission, resource),
    scopes: (...asked) => (lasts() ? holder.scopes(...asked) : []),
  }
}
