import type { Recorded } from '../schemas/events.ts'
import type { TargetRunEvent } from '../schemas/target-run.ts'

export type Claim = Recorded<Extract<TargetRunEvent, { type: 'TargetRunClaimed' }>>

const endsTargetRun: ReadonlySet<string> = new Set<TargetRunEvent['type']>([
  'TargetRunSucceeded',
  'TargetRunFailed',
  'TargetRunCancelled',
  'TargetRunNeedsAttention',
])

const endsStep: ReadonlySet<string> = new Set<TargetRunEvent['type']>([
  'StepSucceeded',
  'StepFailed',
  'StepAttemptFailed',
  'StepCancelled',
  'StepOutcomeUnknown',
])

/**
 * Reads the stream of a target run: the claim with this epoch by this executor, whether it holds now, and which of its
 * steps has been started and is not over. A claim holds until it is handed back, its lease expires, a newer claim comes
 * or the target run ends; renewals of a lease are not events, so its deadline says nothing here.
 */
export function findClaim(
  events: readonly Recorded[],
  of: { epoch: number; executorId: string },
): { claim: Claim; holds: boolean; running: string | undefined } | undefined {
  let claim: Claim | undefined
  let holds = false
  let running: string | undefined
  for (const event of events) {
    if (event.type === 'TargetRunClaimed') {
      holds = event.data.epoch === of.epoch && event.data.executorId === of.executorId
      if (holds) claim = event
      running = undefined
    } else if (event.type === 'StepStarted') {
      running = event.data.stepId
    } else if (endsStep.has(event.type)) {
      running = undefined
    } else if (event.type === 'TargetRunHandedBack' || event.type === 'LeaseExpired') {
      if (event.data.epoch === claim?.data.epoch) holds = false
    } else if (endsTargetRun.has(event.type)) {
      holds = false
    }
  }
  return claim && { claim, holds, running }
}
