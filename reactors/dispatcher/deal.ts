import type { PullRequest } from '../../schemas/bus.ts'
import type { Labels } from '../runs/active-run.ts'
import type { Reservation } from '../runs/active-runs.ts'

/** Keeps an answer far below what the broker carries, and lets claims of one answer be appended at the same time. */
export const MAX_ASSIGNMENTS = 64

/** `labels` are those the log knows the executor by, whatever it says of itself. */
type Asking = { pool: string; labels: Labels; request: Pick<PullRequest, 'slots'> }

/**
 * Deals work out to those who ask, one target run at a time to each in turn, so that work that is short is shared;
 * to each only what its pool is for and its labels are wanted for.
 * `reserve` hands out the work, fair between runs, until there is none.
 */
export function deal<A extends Asking>(
  asking: Iterable<A>,
  reserve: (pool: string, labels: Labels) => Reservation | undefined,
): Map<A, Reservation[]> {
  const hands = new Map<A, Reservation[]>()
  const idle = new Set<string>()
  let open = [...asking].map(each => ({ each, alike: alike(each) }))
  while (open.length > 0) {
    for (const { each, alike } of open) {
      const reservation = idle.has(alike) ? undefined : reserve(each.pool, each.labels)
      if (!reservation) idle.add(alike)
      else hands.set(each, [...(hands.get(each) ?? []), reservation])
    }
    const full = (each: A) => (hands.get(each)?.length ?? 0) >= Math.min(each.request.slots, MAX_ASSIGNMENTS)
    open = open.filter(({ each, alike }) => !idle.has(alike) && !full(each))
  }
  return hands
}

/** What is the same for all who can be given the same work. */
const alike = ({ pool, labels }: Asking): string => JSON.stringify([pool, Object.entries(labels).toSorted()])
