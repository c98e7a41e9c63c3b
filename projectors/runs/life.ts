import { isRunOver, type RunEvent, runEndedAs } from '../../schemas/run.ts'
import type { RunStatus } from '../../schemas/run-rows.ts'

/** What decides in which status a run is. */
export type RunLife = {
  status: RunStatus
  started: boolean
  paused: boolean
  cancelling: boolean
  /** All that is left waits for a person, until a step is resolved. */
  attention: boolean
  stopped: boolean
  /** The approval that is asked for, and how many have granted it. */
  awaiting: string | null
  granted: number
}

export const unborn: RunLife = {
  status: 'queued',
  started: false,
  paused: false,
  cancelling: false,
  attention: false,
  stopped: false,
  awaiting: null,
  granted: 0,
}

export function evolveLife(before: RunLife, event: RunEvent): RunLife {
  const status = runEndedAs(event.type)
  if (status) return { ...before, status, attention: false, awaiting: null, granted: 0 }
  return withStatus({ ...before, ...changed(event, before) })
}

/** A person has said what became of a step: the run goes on. */
export const attended = (before: RunLife): RunLife => withStatus({ ...before, attention: false })

function changed(event: RunEvent, { awaiting }: RunLife): Partial<RunLife> {
  switch (event.type) {
    case 'RunStarted':
      return { started: true }
    case 'RunPaused':
      return { paused: true }
    case 'RunResumed':
      return { paused: false }
    case 'RunStopped':
      return { stopped: true }
    case 'RunCancellationRequested':
      return { cancelling: true }
    case 'RunNeedsAttention':
      return { attention: true }
    case 'ApprovalRequested':
      return { awaiting: event.data.stepId, granted: 0 }
    case 'ApprovalGranted':
      return { granted: event.data.granted }
    case 'ApprovalQuorumReached':
    case 'ApprovalDenied':
    case 'ApprovalExpired':
    case 'ApprovalVoided':
      return event.data.stepId === awaiting ? { awaiting: null, granted: 0 } : {}
    case 'RunRequested':
    case 'TargetsResolved':
    case 'ApprovalDelegated':
    case 'SelfApprovalRefused':
    case 'RunStepSkipped':
    case 'RunStepFailed':
    case 'SubRunTriggered':
    case 'SubRunEnded':
    case 'RunSucceeded':
    case 'RunPartiallySucceeded':
    case 'RunFailed':
    case 'RunCancelled':
    case 'RunTimedOut':
    case 'RunRejected':
      return {}
  }
}

function withStatus(life: RunLife): RunLife {
  return isRunOver(life.status) ? life : { ...life, status: openStatus(life) }
}

function openStatus({ started, paused, cancelling, attention, awaiting }: RunLife): RunStatus {
  if (cancelling) return 'cancelling'
  if (paused) return 'paused'
  if (attention) return 'needs-attention'
  if (awaiting !== null) return 'awaiting-approval'
  return started ? 'running' : 'queued'
}
