import type { PrincipalRef } from '../../schemas/access.ts'
import type { Actor } from '../../schemas/kernel.ts'
import { type AccessState, principalKey } from './types.ts'

/**
 * Whose rights an actor uses, so that somebody is the same person with a session and with a key of theirs. Undefined for
 * what has none in the log: keys of the key file, reactors, executors.
 */
export function personOf(state: AccessState, actor: Pick<Actor, 'kind' | 'id'>): PrincipalRef | undefined {
  switch (actor.kind) {
    case 'user':
      return { kind: 'user', id: actor.id }
    case 'service':
      return { kind: 'service-account', id: actor.id }
    case 'api-key':
      return state.principals.get(principalKey(actor))?.owner
    case 'executor':
    case 'schedule':
    case 'system':
    case 'anonymous':
      return undefined
  }
}

/** One name for somebody, however they come: `user:<id>`; of what nobody is behind, the actor itself. */
export const personText = (state: AccessState, actor: Pick<Actor, 'kind' | 'id'>): string =>
  principalKey(personOf(state, actor) ?? actor)
