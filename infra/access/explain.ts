import type { PrincipalRef } from '../../schemas/access.ts'
import { builtInRoles } from '../../schemas/permissions.ts'
import { judge } from './judge.ts'
import { emergency, rightsOf } from './rights.ts'
import { covers, scopeText } from './scopes.ts'
import { type AccessState, type Allowance, type Held, type Judgement, principalKey, type Resource } from './types.ts'

/** A grant that has something to do with a question, and why it does or does not answer it. */
export type Considered = {
  grantId: string
  role: string
  via: string | null
  scope: string
  until: string | null
  /** `outside-key`: it permits its owner, but not this key of theirs. */
  verdict: 'permits' | 'out-of-scope' | 'expired' | 'outside-key'
}
export type Explanation = {
  judgement: Judgement
  considered: Considered[]
  /** What a key is narrowed to, such as `run:trigger on targets env=prod`; null: all that its owner may. */
  narrowedTo: string[] | null
}

/**
 * The judgement, and every grant of the permission that somebody holds with what came of it: of a key, those of its
 * owner too.
 */
export function explain(
  state: AccessState,
  who: PrincipalRef,
  permission: string,
  resource: Resource | undefined,
  now: number,
): Explanation {
  const { owner, within } = state.principals.get(principalKey(who)) ?? {}
  const held = rightsOf(state, who).held.get(permission) ?? []
  const ofOwner = (owner && rightsOf(state, owner).held.get(permission)) ?? []
  const owned = ofOwner.filter(({ via }) => via !== emergency)
  const own = held.filter(({ grantId }) => !owned.some(each => each.grantId === grantId))
  const fits = ({ scope }: Held) => resource === undefined || covers(scope, resource)
  const verdictOf = (grant: Held) => (grant.until <= now ? 'expired' : fits(grant) ? 'permits' : 'out-of-scope')
  const isKept = ({ grantId }: Held) => held.some(each => each.grantId === grantId && fits(each))
  const verdictOfOwned = (grant: Held) => {
    const verdict = verdictOf(grant)
    return verdict === 'permits' && !isKept(grant) ? 'outside-key' : verdict
  }
  return {
    judgement: judge(state, who, permission, resource, now),
    considered: [
      ...own.map(grant => consideredAs(grant, verdictOf(grant))),
      ...owned.map(grant => consideredAs(grant, verdictOfOwned(grant))),
    ],
    narrowedTo: within?.map(allowanceText) ?? null,
  }
}

function consideredAs({ grantId, role, via, scope, until }: Held, verdict: Considered['verdict']): Considered {
  return {
    ...{ grantId, role, via: via ?? null, scope: scopeText(scope), verdict },
    until: until === Number.POSITIVE_INFINITY ? null : new Date(until).toISOString(),
  }
}

const allowanceText = ({ permissions, scope }: Allowance): string =>
  `${permissions?.join(', ') ?? 'all that its owner may'} on ${scopeText(scope)}`

type Allowed = Extract<Judgement, { why: 'granted' }>
/** `active`: only because they have broken the glass; `possible`: not now, but by breaking it whenever they want. */
export type ByBreakingGlass = 'active' | 'possible'
export type WhoCan = { principal: PrincipalRef; by: Allowed; breakGlass: ByBreakingGlass | null }

/**
 * Everybody who may do it, users and accounts first granted to by themselves or by groups, and keys by their owners; then
 * those who could take the right in an emergency, by what allows them that.
 */
export function whoCan(state: AccessState, permission: string, resource: Resource | undefined, now: number): WhoCan[] {
  const may: WhoCan[] = []
  const could: WhoCan[] = []
  for (const principal of everybody(state).values()) {
    const by = judge(state, principal, permission, resource, now)
    if (by.why === 'granted') may.push({ principal, by, breakGlass: by.via === emergency ? 'active' : null })
    // Nobody but people who sign in can break it.
    else if (!by.allowed && principal.kind === 'user' && inEmergency.has(permission)) {
      const activate = judge(state, principal, 'break-glass:activate', undefined, now)
      if (activate.why === 'granted') could.push({ principal, by: activate, breakGlass: 'possible' })
    }
  }
  return [...may, ...could]
}

const inEmergency: ReadonlySet<string> = new Set(builtInRoles.administrator.permissions)

/** All to whom anything was ever granted, who are in groups, have broken the glass, or are keys of somebody. */
function everybody(state: AccessState): Map<string, PrincipalRef> {
  const found = new Map<string, PrincipalRef>()
  const add = (who: PrincipalRef) => found.set(principalKey(who), who)
  for (const { principal } of state.rows.grant.values()) if (principal.kind !== 'group') add(principal)
  for (const { principal } of state.rows.breakglass.values()) add(principal)
  for (const { members } of state.rows.group.values()) for (const member of members) add(member)
  for (const [key, { owner }] of state.principals)
    if (owner) add({ kind: 'api-key', id: key.slice(key.indexOf(':') + 1) })
  return found
}
