import type { Actor } from '../../schemas/kernel.ts'

/** Of a personal credential: the only one who may use or change it. */
export type Owner = Pick<Actor, 'kind' | 'id'>

/** For whom somebody acts: a part of the system on behalf of another, as for a run that a run triggers, else itself. */
export function principalOf({ kind, id, onBehalfOf }: Pick<Actor, 'kind' | 'id' | 'onBehalfOf'>): Owner {
  const [, ofKind, ofId] = /^(user|api-key|service):(.+)$/.exec(onBehalfOf ?? '') ?? []
  if ((kind !== 'system' && kind !== 'api-key') || ofKind === undefined || ofId === undefined) return { kind, id }
  // The expression lets through nothing else.
  return { kind: ofKind as Owner['kind'], id: ofId }
}

export function isOthers(owner: Owner | undefined, actor: Pick<Actor, 'kind' | 'id' | 'onBehalfOf'>): boolean {
  if (!owner) return false
  const { kind, id } = principalOf(actor)
  return owner.kind !== kind || owner.id !== id
}
