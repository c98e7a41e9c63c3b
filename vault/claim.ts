import type { Recorded } from '../schemas/events.ts'
import type { TargetRunEvent } from '../schemas/target-run.ts'

export type Claim = Recorded<Extract<TargetRunEvent, { type: 'TargetRunClaimed' }>>

const endsTargetRun: ReadonlySet<string> = new Set<TargetRunEvent['type']>([
  'TargetRunSucceeded',
  'TargetRunFailed',
  'TargetRunCancelled',
  'TargetRunNeedsAttention',
])

/**
 * Reads the stream of a target run: the claim with this epoch by this executor, and whether it holds now.
 * A claim holds until it is handed back, its lease expires, a newer claim comes or the target run ends; renewals of a
 * lease are not events, so its deadline says nothing here.
 */
export function findClaim(
  events: readonly Recorded[],
  of: { epoch: number; executorId: string },
): { claim: Claim; holds: boolean } | undefined {
  let claim: Claim | undefined
  let holds = false
  for (const event of events) {
    if (event.type === 'TargetRunClaimed') {
      holds = event.data.epoch === of.epoch && event.data.executorId === of.executorId
      if (holds) claim = event
    } else if (event.type === 'TargetRunHandedBack' || event.type === 'LeaseExpired') {
      if (event.data.epoch === claim?.data.epoch) holds = false
    } else if (endsTargetRun.has(event.type)) {
      holds = false
    }
  }
  return claim && { claim, holds }
}
