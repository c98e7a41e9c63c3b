import type { Walk } from './walk-types.ts'

/** The same place, one wrapper further in. */
export function inside(walk: Walk, wrapper: string): Walk {
  return { ...walk, scope: { ...walk.scope, via: [...walk.scope.via, wrapper] } }
}
