import type { TargetRunStatus } from '../../schemas/run-rows.ts'
import type { TargetRunEvent } from '../../schemas/target-run.ts'

/** What an event by itself makes of a target run's status; undefined leaves it. One that nobody holds is queued again. */
export function targetRunStatusAfter(event: TargetRunEvent): TargetRunStatus | undefined {
  switch (event.type) {
    case 'TargetRunClaimed':
      return 'claimed'
    case 'StepStarted':
      return 'running'
    case 'TargetRunHandedBack':
    case 'LeaseExpired':
    case 'StepOutcomeUnknown':
    case 'StepWaitEnded':
    case 'StepResolved':
    case 'CompensationStarted':
      return 'queued'
    case 'StepRetryScheduled':
    case 'StepWaitStarted':
      return 'waiting'
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
    case 'StepAttemptFailed':
    case 'StepSkipped':
    case 'StepChecked':
    case 'StepCancelled':
    case 'StepCancellationRequested':
    case 'TargetRunCancellationRequested':
    case 'CompensationCompleted':
    case 'OutputSealed':
    case 'OutputGapDetected':
    case 'RemoteProcessTerminated':
    case 'TerminationUnconfirmed':
    case 'ReportRejectedStaleEpoch':
      return undefined
  }
}

/** The step that is over with this event, whatever came of it. */
export function endedStep(event: TargetRunEvent): string | undefined {
  switch (event.type) {
    case 'StepSucceeded':
    case 'StepFailed':
    case 'StepSkipped':
    case 'StepCancelled':
    case 'StepWaitEnded':
      return event.data.stepId
    case 'StepChecked':
      return event.data.verdict === 'happened' ? event.data.stepId : undefined
    case 'StepResolved':
      return event.data.as === 'retry' ? undefined : event.data.stepId
    case 'TargetRunClaimed':
    case 'TargetRunHandedBack':
    case 'StepStarted':
    case 'StepAttemptFailed':
    case 'StepRetryScheduled':
    case 'StepWaitStarted':
    case 'StepCancellationRequested':
    case 'TargetRunCancellationRequested':
    case 'CompensationStarted':
    case 'CompensationCompleted':
    case 'StepOutcomeUnknown':
    case 'OutputSealed':
    case 'OutputGapDetected':
    case 'RemoteProcessTerminated':
    case 'TerminationUnconfirmed':
    case 'LeaseExpired':
    case 'ReportRejectedStaleEpoch':
    case 'TargetRunSucceeded':
    case 'TargetRunFailed':
    case 'TargetRunCancelled':
    case 'TargetRunNeedsAttention':
      return undefined
  }
}

export type Counter = 'queued' | 'waiting' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'needsAttention'
/** The counter of a run in which a target run of this status is counted. */
export function counterOf(status: TargetRunStatus): Counter {
  switch (status) {
    case 'claimed':
    case 'running':
      return 'running'
    case 'queued':
    case 'waiting':
    case 'succeeded':
    case 'failed':
    case 'cancelled':
      return status
    case 'needs-attention':
      return 'needsAttention'
  }
}

/** Terminal is terminal; one that needs attention goes on when it is resolved. */
export function isTargetRunOver(status: TargetRunStatus): boolean {
  switch (status) {
    case 'succeeded':
    case 'failed':
    case 'cancelled':
      return true
    case 'queued':
    case 'claimed':
    case 'running':
    case 'waiting':
    case 'needs-attention':
      return false
  }
}
