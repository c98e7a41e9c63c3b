import { isOneOf, type Owner } from '../../schemas/actor.ts'
import type { Actor } from '../../schemas/kernel.ts'

/** Whether something personal is somebody else's: only its owner may use or change it. */
export const isOthers = (owner: Owner | undefined, actor: Pick<Actor, 'kind' | 'id' | 'onBehalfOf'>): boolean =>
  owner !== undefined && !isOneOf(actor, owner)
