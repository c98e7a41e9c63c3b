import type { PullRequest } from '../../schemas/bus.ts'
import type { Reservation } from '../runs/active-runs.ts'

/** Keeps an answer far below what the broker carries, and lets claims of one answer be appended at the same time. */
export const MAX_ASSIGNMENTS = 64

type Asking = { pool: string; request: Pick<PullRequest, 'slots'> }

/**
 * Deals work out to those who ask, one target run at a time to each in turn, so that work that is short is shared;
 * to each only what its pool is for.
 * `reserve` hands out the work, fair between runs, until there is none.
 */
export function deal<A extends Asking>(
  asking: Iterable<A>,
  reserve: (pool: string) => Reservation | undefined,
): Map<A, Reservation[]> {
  const hands = new Map<A, Reservation[]>()
  const idle = new Set<string>()
  let open = [...asking]
  while (open.length > 0) {
    for (const each of open) {
      const reservation = idle.has(each.pool) ? undefined : reserve(each.pool)
      if (!reservation) idle.add(each.pool)
      else hands.set(each, [...(hands.get(each) ?? []), reservation])
    }
    const full = (each: A) => (hands.get(each)?.length ?? 0) >= Math.min(each.request.slots, MAX_ASSIGNMENTS)
    open = open.filter(each => !idle.has(each.pool) && !full(each))
  }
  return hands
}
