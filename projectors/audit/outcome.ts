import type { AnyEvent } from '../../schemas/events.ts'
import type { Outcome } from './tables.ts'

const failures: ReadonlySet<AnyEvent['type']> = new Set<AnyEvent['type']>([
  'ApiKeyStopped',
  'ApprovalExpired',
  'ApprovalVoided',
  'ErasureDeferred',
  'HostKeyMismatchDetected',
  'LeaseExpired',
  'OutputGapDetected',
  'RunFailed',
  'RunNeedsAttention',
  'RunPartiallySucceeded',
  'RunStopped',
  'RunTimedOut',
  'ServiceAccountOrphaned',
  'StepAttemptFailed',
  'StepFailed',
  'StepOutcomeUnknown',
  'TargetRunFailed',
  'TargetRunNeedsAttention',
  'TerminationUnconfirmed',
])
const denials: ReadonlySet<AnyEvent['type']> = new Set<AnyEvent['type']>([
  'LoginFailed',
  'LoginFailuresCounted',
  'MfaChallengeFailed',
  'RefreshTokenReuseDetected',
  'SelfApprovalRefused',
  'UserLocked',
])
const forbidden = new Set(['unauthenticated', 'forbidden'])
/** Not permitted, or too often; the rest of what is refused at the door is malformed. */
const denied = new Set([401, 403, 429])

/** How what the event tells of turned out, and the code that says why when it did not turn out well. */
export function outcomeOf({ type, data }: AnyEvent): { outcome: Outcome; reasonCode: string | null } {
  const reasonCode = reasonCodeOf(data)
  if (type === 'CommandRejected') return { outcome: forbidden.has(data.code) ? 'denied' : 'failure', reasonCode }
  if (denials.has(type)) return { outcome: 'denied', reasonCode }
  if (type === 'CommandRefusalsCounted') return { outcome: 'denied', reasonCode }
  if (type === 'RequestRefused') return { outcome: denied.has(data.status) ? 'denied' : 'failure', reasonCode }
  if (type === 'RequestRefusalsCounted') return { outcome: 'denied', reasonCode }
  if (type === 'EnrolmentRefused') return { outcome: 'denied', reasonCode }
  if (type === 'ExecutorReportRefused') return { outcome: 'denied', reasonCode: 'executor-revoked' }
  if (type === 'CredentialReleaseDenied') return { outcome: 'denied', reasonCode }
  if (type === 'ApprovalDenied') return { outcome: 'denied', reasonCode: 'approval-denied' }
  if (type === 'RunRejected') return { outcome: data.why === 'approval-denied' ? 'denied' : 'failure', reasonCode }
  if (type === 'ReportRejectedStaleEpoch') return { outcome: 'denied', reasonCode: 'stale-epoch' }
  return { outcome: failures.has(type) ? 'failure' : 'success', reasonCode }
}

function reasonCodeOf(data: AnyEvent['data']): string | null {
  if ('code' in data) return data.code
  if ('class' in data) return data.class
  return 'why' in data ? (data.why ?? null) : null
}
