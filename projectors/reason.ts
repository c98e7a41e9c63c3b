import type { Recorded } from '../schemas/events.ts'

/** Why it was done, in the words of who did it. */
export function reasonOf({ data, metadata }: Recorded): string | null {
  const given: unknown = 'reason' in data ? data.reason : undefined
  return typeof given === 'string' ? given : (metadata.justification ?? null)
}
