import { z } from 'zod'
import { instant } from '../schemas/kernel.ts'
import { parsePosition, positionText } from '../schemas/position.ts'
import type { Conditions } from './paging.ts'

export const asOf = z
  .union([
    instant,
    z
      .string()
      .regex(/^@/)
      .refine(text => positionText.safeParse(text.slice(1)).success),
  ])
  .optional()
  .describe('As it was at this instant (2026-03-01T02:14:00Z) or position of the log (@4711)')

/** Picks the version of each resource that was valid then; the current one without `asOf`. */
export function validAt(conditions: Conditions, when: string | undefined): void {
  if (when === undefined) {
    conditions.add('valid_to is null')
  } else if (when.startsWith('@')) {
    const { commit } = parsePosition(when.slice(1))
    conditions.add('valid_from <= ?::bigint and (valid_to > ?::bigint or valid_to is null)', commit)
  } else {
    const range = 'valid_from_time <= ?::timestamptz and (valid_to_time > ?::timestamptz or valid_to_time is null)'
    conditions.add(range, when)
  }
}
