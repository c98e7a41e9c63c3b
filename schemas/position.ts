import { z } from 'zod'
import type { LogPosition } from './events.ts'

/** Logs and databases count in 64 bits with a sign. */
const MOST = 2n ** 63n - 1n
function isInt64(text: string): boolean {
  return /^\d+$/.test(text) && BigInt(text) <= MOST
}

/**
 * A position of the log as text: `<commit>`, or `<commit>/<prepare>` where the two differ. Clients hand it back as
 * `minPosition` to read their own writes.
 */
export const positionText = z
  .string()
  .regex(/^\d{1,19}(\/\d{1,19})?$/, 'a position such as 4711')
  .refine(text => text.split('/').every(isInt64), 'no log is that long')

export const formatPosition = ({ commit, prepare }: LogPosition): string =>
  commit === prepare ? String(commit) : `${commit}/${prepare}`

/** The position a text stands for. @throws ZodError when it is none. */
export function parsePosition(text: string): LogPosition {
  const [commit = '0', prepare = commit] = positionText.parse(text).split('/')
  return { commit: BigInt(commit), prepare: BigInt(prepare) }
}

/** Negative when a comes before b in the log, 0 when they are the same. */
export function comparePositions(a: LogPosition, b: LogPosition): number {
  if (a.commit !== b.commit) return a.commit < b.commit ? -1 : 1
  if (a.prepare !== b.prepare) return a.prepare < b.prepare ? -1 : 1
  return 0
}
