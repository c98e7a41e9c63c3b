import type { StepRunRow } from '../../schemas/run-rows.ts'
import type { TargetRunEvent } from '../../schemas/target-run.ts'

const milliseconds = (at: string) => new Date(at).toISOString()

type Of<T extends TargetRunEvent['type']> = Extract<TargetRunEvent, { type: T }>
/** Events about an attempt of a step that has a row. */
type AttemptEvent = Of<
  | 'StepSucceeded'
  | 'StepFailed'
  | 'StepAttemptFailed'
  | 'StepChecked'
  | 'StepResolved'
  | 'StepCancelled'
  | 'StepOutcomeUnknown'
  | 'OutputSealed'
  | 'OutputGapDetected'
  | 'RemoteProcessTerminated'
  | 'TerminationUnconfirmed'
>
/** Events about a step that may have no attempt yet. */
type FirstEvent = Of<'StepStarted' | 'StepSkipped' | 'StepWaitStarted' | 'StepWaitEnded' | 'StepRetryScheduled'>
type StepEvent = AttemptEvent | FirstEvent
type StepKey = Pick<StepRunRow, 'runId' | 'n' | 'stepId' | 'attempt'>

export function isStepEvent(event: TargetRunEvent): event is StepEvent {
  switch (event.type) {
    case 'StepSkipped':
    case 'StepStarted':
    case 'StepSucceeded':
    case 'StepFailed':
    case 'StepAttemptFailed':
    case 'StepRetryScheduled':
    case 'StepWaitStarted':
    case 'StepWaitEnded':
    case 'StepChecked':
    case 'StepResolved':
    case 'StepCancelled':
    case 'StepOutcomeUnknown':
    case 'OutputSealed':
    case 'OutputGapDetected':
    case 'RemoteProcessTerminated':
    case 'TerminationUnconfirmed':
      return true
    case 'TargetRunClaimed':
    case 'TargetRunHandedBack':
    case 'LeaseExpired':
    case 'ReportRejectedStaleEpoch':
    case 'StepCancellationRequested':
    case 'TargetRunCancellationRequested':
    case 'CompensationStarted':
    case 'CompensationCompleted':
    case 'TargetRunSucceeded':
    case 'TargetRunFailed':
    case 'TargetRunCancelled':
    case 'TargetRunNeedsAttention':
      return false
  }
}

/** The attempt of a step an event is about. What never had one, a skipped step or a wait, is shown as its first. */
export function stepKey({ data }: StepEvent): StepKey {
  return { runId: data.runId, n: data.n, stepId: data.stepId, attempt: 'attempt' in data ? data.attempt : 1 }
}

/** The row of a step's attempt after an event; undefined where nothing is to be written. `at` is of the control plane. */
export function evolveStep(before: StepRunRow | undefined, event: StepEvent, at: string): StepRunRow | undefined {
  const key = stepKey(event)
  switch (event.type) {
    case 'StepStarted':
      return begun(key, milliseconds(event.data.at))
    case 'StepSkipped':
      // Skipped after an attempt whose outcome stays unknown: the attempt is what there is to show.
      return before ? undefined : { ...begun(key, at), status: 'skipped', detail: event.data.why, finishedAt: at }
    case 'StepWaitStarted':
      return { ...begun(key, at), status: 'waiting', waitsUntil: event.data.until }
    case 'StepWaitEnded':
      return { ...(before ?? begun(key, at)), status: 'succeeded', finishedAt: at }
    case 'StepRetryScheduled': {
      const { class: failure, detail, notBefore, started } = event.data
      if (before && started) return { ...before, retryAt: notBefore }
      return { ...begun(key, at), status: 'failed', failure, detail, finishedAt: at, retryAt: notBefore }
    }
    case 'StepSucceeded':
    case 'StepFailed':
    case 'StepAttemptFailed':
    case 'StepChecked':
    case 'StepResolved':
    case 'StepCancelled':
    case 'StepOutcomeUnknown':
    case 'OutputSealed':
    case 'OutputGapDetected':
    case 'RemoteProcessTerminated':
    case 'TerminationUnconfirmed':
      if (!before) throw new Error(`attempt ${key.attempt} of the step ${key.stepId} was never started`)
      return { ...before, ...change(before, event, at) }
  }
}

function change(before: StepRunRow, event: AttemptEvent, at: string): Partial<StepRunRow> {
  switch (event.type) {
    case 'StepSucceeded': {
      const { exitCode, output, outputs = null, at } = event.data
      return { status: 'succeeded', exitCode, outputs, ...sealed(output), finishedAt: milliseconds(at) }
    }
    case 'StepFailed':
    case 'StepAttemptFailed': {
      const { exitCode = null, signal = null, class: failure, detail, output, at } = event.data
      return { status: 'failed', exitCode, signal, failure, detail, ...sealed(output), finishedAt: milliseconds(at) }
    }
    case 'StepCancelled': {
      const { output, detail, at } = event.data
      return { status: 'cancelled', detail, ...(output && sealed(output)), finishedAt: milliseconds(at) }
    }
    case 'StepOutcomeUnknown':
      return { status: 'unknown', detail: event.data.detail, finishedAt: at }
    case 'StepChecked':
      return checked(before, event.data)
    case 'StepResolved': {
      const { as, reason } = event.data
      return { status: as === 'retry' ? 'unknown' : as, detail: `resolved, ${as}: ${reason}` }
    }
    case 'OutputSealed':
      return sealed(event.data)
    case 'RemoteProcessTerminated':
      return { termination: 'terminated' }
    case 'TerminationUnconfirmed':
      return { termination: 'unconfirmed' }
    case 'OutputGapDetected':
      return {}
  }
}

/** What the check command of a step of unknown outcome found out. */
function checked(before: StepRunRow, { verdict, detail }: Of<'StepChecked'>['data']): Partial<StepRunRow> {
  const says = `check: ${verdict}${detail ? ` (${detail})` : ''}`
  if (before.status !== 'unknown') return {}
  if (verdict === 'happened') return { status: 'succeeded', detail: says }
  return verdict === 'unclear' ? { detail: says } : { status: 'failed', failure: 'lost-before-start', detail: says }
}

const sealed = ({ bytes, sha256, truncated }: { bytes: number; sha256: string; truncated: boolean }) => ({
  outputBytes: bytes,
  outputSha256: sha256,
  outputTruncated: truncated,
})

const begun = (key: StepKey, startedAt: string): StepRunRow => ({
  ...key,
  status: 'running',
  exitCode: null,
  signal: null,
  failure: null,
  detail: null,
  outputs: null,
  outputBytes: null,
  outputSha256: null,
  outputTruncated: null,
  termination: null,
  retryAt: null,
  waitsUntil: null,
  startedAt,
  finishedAt: null,
})
