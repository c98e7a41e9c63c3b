import type { Amount, Strategy } from '../../schemas/job.ts'

/** How many of the first target runs may have begun while each batch is worked on: `[1, 10, 100]` for 100 targets. */
export function batchEnds(batches: readonly Amount[] | undefined, targets: number): number[] {
  const ends: number[] = []
  for (let end = 0, i = 0; end < targets; i++) {
    const size = batches?.[Math.min(i, batches.length - 1)]
    end = size === undefined ? targets : Math.min(targets, end + amountOf(size, targets))
    ends.push(end)
  }
  return ends
}

/** Failed target runs that are still accepted. */
export function acceptedFailures(maxFailures: Strategy['maxFailures'], targets: number): number {
  if (maxFailures === undefined) return targets
  return typeof maxFailures === 'number' ? maxFailures : Math.floor((Number.parseInt(maxFailures, 10) / 100) * targets)
}

const amountOf = (amount: Amount, targets: number): number =>
  typeof amount === 'number' ? amount : Math.max(1, Math.ceil((Number.parseInt(amount, 10) / 100) * targets))
