import type { RunEvent, RunStatus, TargetRunEvent, TargetRunStatus } from '../../schemas/run.ts'

/** What a run's event makes of its status; undefined leaves it. */
export function runStatusAfter(event: RunEvent): RunStatus | undefined {
  switch (event.type) {
    case 'RunRequested':
      return 'queued'
    case 'TargetsResolved':
      return undefined
    case 'RunStarted':
      return 'running'
    case 'RunCancellationRequested':
      return 'cancelling'
    case 'RunSucceeded':
      return 'succeeded'
    case 'RunPartiallySucceeded':
      return 'partially-succeeded'
    case 'RunFailed':
      return 'failed'
    case 'RunCancelled':
      return 'cancelled'
    case 'RunNeedsAttention':
      return 'needs-attention'
  }
}

/** What an event makes of a target run's status; undefined leaves it. A target run nobody holds is queued again. */
export function targetRunStatusAfter(event: TargetRunEvent): TargetRunStatus | undefined {
  switch (event.type) {
    case 'TargetRunClaimed':
      return 'claimed'
    case 'StepStarted':
      return 'running'
    case 'TargetRunHandedBack':
    case 'LeaseExpired':
    case 'StepOutcomeUnknown':
      return 'queued'
    case 'TargetRunSucceeded':
      return 'succeeded'
    case 'TargetRunFailed':
      return 'failed'
    case 'TargetRunCancelled':
      return 'cancelled'
    case 'TargetRunNeedsAttention':
      return 'needs-attention'
    case 'StepSucceeded':
    case 'StepFailed':
    case 'StepSkipped':
    case 'StepCancelled':
    case 'OutputSealed':
    case 'OutputGapDetected':
    case 'RemoteProcessTerminated':
    case 'TerminationUnconfirmed':
    case 'ReportRejectedStaleEpoch':
      return undefined
  }
}

const terminal: ReadonlySet<string> = new Set<RunStatus>([
  'succeeded',
  'partially-succeeded',
  'failed',
  'cancelled',
  'needs-attention',
])
export const isTerminal = (status: RunStatus): boolean => terminal.has(status)

export type Counter = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'needsAttention'
/** The counter of a run in which a target run of this status is counted. */
export function counterOf(status: TargetRunStatus): Counter {
  switch (status) {
    case 'queued':
      return 'queued'
    case 'claimed':
    case 'running':
      return 'running'
    case 'succeeded':
    case 'failed':
    case 'cancelled':
      return status
    case 'needs-attention':
      return 'needsAttention'
  }
}
