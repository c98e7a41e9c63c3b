import type { Actor } from './kernel.ts'

/** Whose something personal is. */
export type Owner = Pick<Actor, 'kind' | 'id'>
type Acting = Pick<Actor, 'kind' | 'id' | 'onBehalfOf'>

/** Everybody an actor is: itself and, of a key or a part of the system, whoever it acts for, as runs do that runs trigger. */
export function selvesOf({ kind, id, onBehalfOf }: Acting): [Owner, ...Owner[]] {
  const [, ofKind, ofId] = /^(user|api-key|service|service-account):(.+)$/.exec(onBehalfOf ?? '') ?? []
  const isForAnother = kind === 'system' || kind === 'api-key'
  if (!isForAnother || ofKind === undefined || ofId === undefined) return [{ kind, id }]
  // The expression lets through nothing but kinds of actors, and what grants call one of them.
  return [
    { kind, id },
    { kind: (ofKind === 'service-account' ? 'service' : ofKind) as Owner['kind'], id: ofId },
  ]
}

/** For whom an actor acts in the end. */
export const behind = (actor: Acting): Owner => selvesOf(actor).at(-1) ?? actor

export const isOneOf = (actor: Acting, owner: Owner): boolean =>
  selvesOf(actor).some(({ kind, id }) => kind === owner.kind && id === owner.id)
