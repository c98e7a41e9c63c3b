import type { PullRequest } from '../../schemas/bus.ts'
import type { Reservation } from '../runs/active-runs.ts'

/** Keeps an answer far below what the broker carries, and lets claims of one answer be appended at the same time. */
export const MAX_ASSIGNMENTS = 64

type Asking = { request: Pick<PullRequest, 'slots'> }

/**
 * Deals work out to those who ask, one target run at a time to each in turn, so that work that is short is shared.
 * `reserve` hands out the work, fair between runs, until there is none.
 */
export function deal<A extends Asking>(
  asking: Iterable<A>,
  reserve: () => Reservation | undefined,
): Map<A, Reservation[]> {
  const hands = new Map<A, Reservation[]>()
  let open = [...asking]
  while (open.length > 0) {
    for (const each of open) {
      const reservation = reserve()
      if (!reservation) return hands
      const hand = hands.get(each)
      if (hand) hand.push(reservation)
      else hands.set(each, [reservation])
    }
    open = open.filter(each => (hands.get(each)?.length ?? 0) < Math.min(each.request.slots, MAX_ASSIGNMENTS))
  }
  return hands
}
