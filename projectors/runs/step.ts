import type { StepRunRow, TargetRunEvent } from '../../schemas/run.ts'

const milliseconds = (at: string) => new Date(at).toISOString()

type StepEvent = Exclude<
  TargetRunEvent,
  {
    type:
      | 'TargetRunClaimed'
      | 'TargetRunHandedBack'
      | 'LeaseExpired'
      | 'ReportRejectedStaleEpoch'
      | 'TargetRunSucceeded'
      | 'TargetRunFailed'
      | 'TargetRunCancelled'
      | 'TargetRunNeedsAttention'
  }
>
type StepKey = Pick<StepRunRow, 'runId' | 'n' | 'stepId' | 'attempt'>

export function isStepEvent(event: TargetRunEvent): event is StepEvent {
  switch (event.type) {
    case 'StepSkipped':
    case 'StepStarted':
    case 'StepSucceeded':
    case 'StepFailed':
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
    case 'TargetRunSucceeded':
    case 'TargetRunFailed':
    case 'TargetRunCancelled':
    case 'TargetRunNeedsAttention':
      return false
  }
}

/** The attempt of a step an event is about. A skipped step never had one: it is shown as its first. */
export function stepKey({ type, data }: StepEvent): StepKey {
  return { runId: data.runId, n: data.n, stepId: data.stepId, attempt: type === 'StepSkipped' ? 1 : data.attempt }
}

/** The row of a step's attempt after an event; undefined where nothing is to be written. `at` is of the control plane. */
export function evolveStep(before: StepRunRow | undefined, event: StepEvent, at: string): StepRunRow | undefined {
  const key = stepKey(event)
  if (event.type === 'StepStarted') return begun(key, milliseconds(event.data.at))
  // Skipped after an attempt whose outcome stays unknown: the attempt is what there is to show.
  if (event.type === 'StepSkipped')
    return before ? undefined : { ...begun(key, at), status: 'skipped', detail: event.data.why, finishedAt: at }
  if (!before) throw new Error(`attempt ${key.attempt} of the step ${key.stepId} was never started`)
  switch (event.type) {
    case 'StepSucceeded': {
      const { exitCode, output, at } = event.data
      return { ...before, status: 'succeeded', exitCode, ...sealed(output), finishedAt: milliseconds(at) }
    }
    case 'StepFailed': {
      const { exitCode = null, signal = null, class: failure, detail, output, at } = event.data
      const ended = { exitCode, signal, failure, detail, finishedAt: milliseconds(at) }
      return { ...before, status: 'failed', ...ended, ...sealed(output) }
    }
    case 'StepCancelled': {
      const { output, detail, at } = event.data
      return { ...before, status: 'cancelled', detail, ...(output && sealed(output)), finishedAt: milliseconds(at) }
    }
    case 'StepOutcomeUnknown':
      return { ...before, status: 'unknown', detail: event.data.detail, finishedAt: at }
    case 'OutputSealed':
      return { ...before, ...sealed(event.data) }
    case 'OutputGapDetected':
    case 'RemoteProcessTerminated':
    case 'TerminationUnconfirmed':
      return undefined
  }
}

const sealed = ({ bytes, sha256 }: { bytes: number; sha256: string }) => ({ outputBytes: bytes, outputSha256: sha256 })

const begun = (key: StepKey, startedAt: string): StepRunRow => ({
  ...key,
  status: 'running',
  exitCode: null,
  signal: null,
  failure: null,
  detail: null,
  outputBytes: null,
  outputSha256: null,
  startedAt,
  finishedAt: null,
})
