import type { AccountOwner } from '../../schemas/service-account.ts'
import { type AccessState, principalKey } from './types.ts'

/**
 * Whether somebody is left who answers for what is theirs: the user, or any user in the group, who may act. Whoever is
 * not known counts: what another process appended a moment ago may be known here later than what builds on it.
 */
export function isOwned(state: AccessState, owner: AccountOwner): boolean {
  const mayAct = (who: { kind: string; id: string }) => state.principals.get(principalKey(who))?.active !== false
  if (owner.kind === 'user') return mayAct(owner)
  const group = state.rows.group.get(owner.id)
  return !group || group.members.some(member => member.kind === 'user' && mayAct(member))
}

/** Service accounts that act on although whoever answered for them has left, and of which that is not on record yet. */
export function newlyOrphaned(state: AccessState): Array<{ serviceAccountId: string; owner: AccountOwner }> {
  return [...state.principals].flatMap(([key, { active, answering }]) =>
    active && answering && !isOwned(state, answering)
      ? [{ serviceAccountId: key.slice(key.indexOf(':') + 1), owner: answering }]
      : [],
  )
}
