import type { PrincipalRef } from '../../schemas/access.ts'
import type { Actor } from '../../schemas/kernel.ts'
import type { Clock } from '../clock.ts'
import { judge, scopesOf } from './judge.ts'
import { everything } from './scopes.ts'
import type { AccessState, HeldScope, Resource } from './types.ts'

/**
 * Who makes a request, and what they may do at this moment: asked again later, the answer may be another one.
 */
export type Holder = {
  actor: Actor
  /** Where what is presented changes while who presents it stays the same: what stays, and is nobody else's. */
  digestSecret?: string
  /** Whether it is permitted on anything at all. */
  permits(permission: string): boolean
  permitsOn(permission: string, resource: Resource): boolean
  /**
   * Where it is permitted: all of a list that may be shown. With `at` (milliseconds since 1970): where it is and, by the
   * grants there are, still will be then.
   */
  scopes(permission: string, at?: number): readonly HeldScope[]
}

/** What somebody may do by their grants, as the state has it when they are asked about. */
export function holderOf(options: {
  state: () => AccessState
  who: PrincipalRef
  actor: Actor
  clock: Pick<Clock, 'now'>
}): Holder {
  const { state, who, actor, clock } = options
  const now = () => Date.parse(clock.now())
  return {
    actor,
    permits: permission => judge(state(), who, permission, undefined, now()).allowed,
    permitsOn: (permission, resource) => judge(state(), who, permission, resource, now()).allowed,
    scopes: (permission, at) => scopesOf(state(), who, permission, now(), at),
  }
}

/** Somebody who may do everything everywhere, for as long as they may come in at all. */
export function administratorHolder(actor: Actor, stillValid: () => boolean = () => true): Holder {
  return {
    actor,
    permits: stillValid,
    permitsOn: stillValid,
    scopes: () => (stillValid() ? [everything] : []),
  }
}
