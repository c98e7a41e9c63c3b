import type { PrincipalRef } from '../../schemas/access.ts'
import { judge } from './judge.ts'
import { rightsOf } from './rights.ts'
import { covers, scopeText } from './scopes.ts'
import { type AccessState, type Judgement, principalKey, type Resource } from './types.ts'

/** A grant that has something to do with a question, and why it does or does not answer it. */
export type Considered = {
  grantId: string
  role: string
  via: string | null
  scope: string
  until: string | null
  verdict: 'permits' | 'out-of-scope' | 'expired'
}

/** The judgement, and every grant of the permission that somebody holds with what came of it. */
export function explain(
  state: AccessState,
  who: PrincipalRef,
  permission: string,
  resource: Resource | undefined,
  now: number,
): { judgement: Judgement; considered: Considered[] } {
  const { held } = rightsOf(state, who)
  const considered = (held.get(permission) ?? []).map(({ grantId, role, via, scope, until }): Considered => {
    const fits = resource === undefined || covers(scope, resource)
    return {
      ...{ grantId, role, via: via ?? null, scope: scopeText(scope) },
      until: until === Number.POSITIVE_INFINITY ? null : new Date(until).toISOString(),
      verdict: until <= now ? 'expired' : fits ? 'permits' : 'out-of-scope',
    }
  })
  return { judgement: judge(state, who, permission, resource, now), considered }
}

type Allowed = Extract<Judgement, { why: 'granted' }>

/** Everybody who may do it, users and accounts first granted to by themselves or by groups, and keys by their owners. */
export function whoCan(
  state: AccessState,
  permission: string,
  resource: Resource | undefined,
  now: number,
): Array<{ principal: PrincipalRef; by: Allowed }> {
  return [...everybody(state).values()].flatMap(principal => {
    const by = judge(state, principal, permission, resource, now)
    return by.why === 'granted' ? [{ principal, by }] : []
  })
}

/** All to whom anything was ever granted, who are in groups, or are keys of somebody. */
function everybody(state: AccessState): Map<string, PrincipalRef> {
  const found = new Map<string, PrincipalRef>()
  const add = (who: PrincipalRef) => found.set(principalKey(who), who)
  for (const { principal } of state.rows.grant.values()) if (principal.kind !== 'group') add(principal)
  for (const { members } of state.rows.group.values()) for (const member of members) add(member)
  for (const [key, { owner }] of state.principals)
    if (owner) add({ kind: 'api-key', id: key.slice(key.indexOf(':') + 1) })
  return found
}
