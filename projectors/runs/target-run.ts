import type { TargetRunStatus } from '../../schemas/run-rows.ts'
import type { TargetRunEvent } from '../../schemas/target-run.ts'
import { endedStep, isTargetRunOver, targetRunStatusAfter } from './status.ts'
import type { TargetRunState } from './tables.ts'

/** A target run after an event; `at` is of the control plane. */
export function evolveTargetRun(before: TargetRunState, event: TargetRunEvent, at: string): TargetRunState {
  const due = dueAfter(before, event)
  const status = targetRunStatusAfter(event) ?? (isFreed(before, due) ? 'queued' : before.status)
  const next: TargetRunState = { ...before, due, status, ...stepAfter(before, event), ...fields(event, before, at) }
  return isTargetRunOver(status) ? { ...next, stepId: null, due: null, finishedAt: at } : next
}

/** What is left of what the newest claim is for; null where it is for all there is. */
function dueAfter({ due }: TargetRunState, event: TargetRunEvent): string[] | null {
  if (event.type === 'TargetRunClaimed') return event.data.due ?? null
  const over = endedStep(event)
  return due && over !== undefined ? due.filter(id => id !== over) : due
}

const held: ReadonlySet<TargetRunStatus> = new Set<TargetRunStatus>(['claimed', 'running'])
/** The claim is for a part of the steps, and that part is over: nobody holds the target run until it goes on. */
const isFreed = (before: TargetRunState, due: readonly string[] | null) =>
  due?.length === 0 && before.due?.length !== 0 && held.has(before.status)

function stepAfter(before: TargetRunState, event: TargetRunEvent): Partial<TargetRunState> {
  if (event.type === 'StepStarted' || event.type === 'StepRetryScheduled' || event.type === 'StepWaitStarted')
    return { stepId: event.data.stepId }
  if (event.type === 'TargetRunNeedsAttention') return { stepId: event.data.stepId ?? before.stepId }
  return endedStep(event) === before.stepId ? { stepId: null } : {}
}

/** What an event says about its target run beside the status. */
function fields(event: TargetRunEvent, before: TargetRunState, at: string): Partial<TargetRunState> {
  switch (event.type) {
    case 'TargetRunClaimed': {
      const { executorId, epoch, target } = event.data
      return { executorId, epoch, targetName: target.name, address: target.address, startedAt: before.startedAt ?? at }
    }
    case 'StepWaitStarted':
      return { startedAt: before.startedAt ?? at, executorId: null }
    case 'TargetRunHandedBack':
    case 'LeaseExpired':
    case 'StepOutcomeUnknown':
    case 'StepRetryScheduled':
      return { executorId: null }
    case 'CompensationStarted':
    case 'TargetRunFailed':
      return { failure: event.data.class, detail: event.data.detail }
    case 'TargetRunCancelled':
    case 'TargetRunNeedsAttention':
      return { detail: event.data.detail }
    case 'StepResolved':
      return { detail: null }
    case 'TargetRunCancellationRequested':
      return { cancelRequested: true }
    case 'StepStarted':
    case 'StepSucceeded':
    case 'StepFailed':
    case 'StepAttemptFailed':
    case 'StepSkipped':
    case 'StepWaitEnded':
    case 'StepChecked':
    case 'StepCancelled':
    case 'StepCancellationRequested':
    case 'CompensationCompleted':
    case 'OutputSealed':
    case 'OutputGapDetected':
    case 'RemoteProcessTerminated':
    case 'TerminationUnconfirmed':
    case 'ReportRejectedStaleEpoch':
    case 'TargetRunSucceeded':
      return {}
  }
}
