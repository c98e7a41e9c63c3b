import { categoryOf, type Recorded } from '../../schemas/events.ts'
import type { Period } from '../support/periods.ts'

/** Somebody was to work on a target run, all the time from one step's beginning or end to the next. */
export type Stretch = Period & { key: string; executors: Array<{ id: string; from: number }> }
type TargetRun = { key: string; open: Stretch | undefined; last: string | undefined }

/** Who works may change meanwhile: the target run stands still until one of the others is told. */
const NO_STEP = new Set<Recorded['type']>([
  ...(['TargetRunClaimed', 'TargetRunHandedBack', 'LeaseExpired', 'StepOutcomeUnknown'] as const),
  ...(['ReportRejectedStaleEpoch', 'OutputSealed', 'OutputGapDetected', 'RemoteProcessTerminated'] as const),
  ...(['TerminationUnconfirmed', 'StepCancellationRequested', 'TargetRunCancellationRequested'] as const),
])
/** After these the claim goes on, unless the step was the last it was for. */
const STEP_OVER = new Set<Recorded['type']>(['StepSucceeded', 'StepFailed', 'StepSkipped', 'StepChecked'])

/**
 * From the first claim on, what waits for nothing but the system itself: not for a person, a moment, other targets or
 * the end of a pause.
 */
export function stretches(log: readonly Recorded[]): Stretch[] {
  const found: Stretch[] = []
  const paused = new Set<string>()
  const targetRuns = new Map<string, TargetRun>()
  for (const event of log) {
    if (event.type === 'RunPaused') paused.add(event.data.runId)
    if (event.type === 'RunResumed') paused.delete(event.data.runId)
    if (categoryOf(event.stream) !== 'targetrun' || !('n' in event.data)) continue
    const { runId, n } = event.data
    const key = `${runId}.${n}`
    const known = targetRuns.get(key) ?? { key, open: undefined, last: undefined }
    targetRuns.set(key, known)
    const over = take(known, event, paused.has(runId))
    if (over) found.push(over)
  }
  return found
}

/** The stretch that this event ends. */
function take(known: TargetRun, event: Recorded, paused: boolean): Stretch | undefined {
  const at = Date.parse(event.recordedAt)
  const { open } = known
  if (event.type === 'TargetRunClaimed') {
    known.last = event.data.due?.at(-1)
    known.open ??= { key: known.key, from: at, to: Number.POSITIVE_INFINITY, executors: [] }
    known.open.executors.push({ id: event.data.executorId, from: at })
  }
  if (event.type === 'TargetRunHandedBack' && paused) known.open = undefined
  if (NO_STEP.has(event.type)) return undefined
  const goesOn = event.type === 'StepStarted' || (STEP_OVER.has(event.type) && !isLast(known, event))
  known.open = goesOn && open ? { ...open, from: at, to: Number.POSITIVE_INFINITY } : undefined
  return open && { ...open, to: at }
}

const isLast = ({ last }: TargetRun, { data }: Recorded) => 'stepId' in data && data.stepId === last
