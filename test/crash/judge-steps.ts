import type { Recorded } from '../../schemas/events.ts'
import type { Effect } from './effects.ts'
import { idempotentSteps, silentSteps } from './jobs.ts'
import type { StartedRun } from './load.ts'

type Place = { runId: string; n: number; stepId: string }
/** What the log says of one step on one target. */
type Told = {
  stepId: string
  starts: number
  /** It may be started: at first, and again when somebody gave leave. */
  mayStart: boolean
  /** It may take effect once, and again for every failure that is tried again and every word of a person. */
  mayTakeEffect: number
  succeeded: boolean
}

const keyOf = ({ runId, n, stepId }: Place) => `${runId}.${n}.${stepId}`

/** Steps that ran more often than they had leave to, or are said to have succeeded and never ran. */
export function brokenSteps(
  log: readonly Recorded[],
  effects: readonly Effect[],
  runs: readonly StartedRun[],
): string[] {
  const broken: string[] = []
  const steps = new Map<string, Told>()
  for (const event of log) take(event, steps, broken)
  const ran = counted(log, effects, runs)
  for (const [key, times] of ran) {
    const told = steps.get(key)
    const leave = told && idempotentSteps.has(told.stepId) ? told.starts : (told?.mayTakeEffect ?? 0)
    if (times > (told?.starts ?? 0)) broken.push(`${key}: ran ${times} times, was started ${told?.starts ?? 0} times`)
    else if (times > leave) broken.push(`${key}: ran ${times} times, had leave for ${leave}`)
  }
  for (const [key, { succeeded, stepId }] of steps) {
    if (succeeded && !ran.has(key) && !silentSteps.has(stepId)) broken.push(`${key}: succeeded and never ran`)
  }
  return broken
}

function take(event: Recorded, steps: Map<string, Told>, broken: string[]): void {
  if (!('stepId' in event.data && 'n' in event.data) || event.data.stepId === undefined) return
  const place = { runId: event.data.runId, n: event.data.n, stepId: event.data.stepId }
  const key = keyOf(place)
  const unheardOf = { stepId: place.stepId, starts: 0, mayStart: true, mayTakeEffect: 1, succeeded: false }
  const told = steps.get(key) ?? unheardOf
  steps.set(key, told)
  if (event.type === 'StepStarted') {
    if (!told.mayStart) broken.push(`${key}: started again without leave (attempt ${event.data.attempt})`)
    told.starts += 1
    told.mayStart = false
  }
  const triedAgain = event.type === 'StepRetryScheduled' && event.data.started
  const allowed = event.type === 'StepResolved' && event.data.as === 'retry'
  const notDone = event.type === 'StepChecked' && event.data.verdict === 'did-not-happen'
  const harmless = event.type === 'StepOutcomeUnknown' && idempotentSteps.has(place.stepId)
  if (triedAgain || allowed || notDone || harmless) told.mayStart = true
  if (triedAgain || allowed) told.mayTakeEffect += 1
  if (event.type === 'StepSucceeded') told.succeeded = true
}

/** How often each step ran, by the ledger. */
function counted(log: readonly Recorded[], effects: readonly Effect[], runs: readonly StartedRun[]) {
  const runOf = new Map(runs.map(({ runId, token }) => [token, runId]))
  const places = new Map<string, number>()
  for (const { type, data } of log) {
    if (type === 'TargetRunClaimed') places.set(`${data.runId}@${data.target.address}`, data.n)
  }
  const ran = new Map<string, number>()
  for (const { token, step, address } of effects) {
    const runId = runOf.get(token) ?? token
    const key = keyOf({ runId, n: places.get(`${runId}@${address}`) ?? -1, stepId: step })
    ran.set(key, (ran.get(key) ?? 0) + 1)
  }
  return ran
}
