import type { TargetRunCommand, TargetRunEvent } from '../../schemas/target-run.ts'
import { DomainError } from './decider.ts'
import { retryAt } from './retry.ts'
import { endIfLast, failing, failingUnlessUnclear, place, skipRest, targetRunFailed } from './target-run-end.ts'
import {
  dueSteps,
  isTargetRunFinished,
  type KnownTargetRun,
  mayRepeat,
  mayVerify,
  nextAttempt,
  type Progress,
  ruleOf,
  type TargetRun,
} from './target-run-state.ts'

type DataOf<T extends TargetRunCommand['type']> = Extract<TargetRunCommand, { type: T }>['data']
type Running = Extract<TargetRun, { status: 'running' }>
type Held = Extract<TargetRun, { status: 'claimed' | 'running' }>
type StepReport = DataOf<'succeed-step'> | DataOf<'fail-step'>
type StepRun = Pick<StepReport, 'runId' | 'n' | 'stepId' | 'attempt' | 'epoch'>

const reports = [
  'start-step',
  'succeed-step',
  'fail-step',
  'fail-target-run',
  'report-step-lost',
  'report-cancelled',
  'report-check',
  'hand-back-target-run',
  'report-output-gap',
] as const
export type Report = Extract<TargetRunCommand, { type: (typeof reports)[number] }>
const known: ReadonlySet<string> = new Set(reports)
export const isReport = (command: TargetRunCommand): command is Report => known.has(command.type)

/** What the executor that holds the claim says. */
export function report(command: Report, state: KnownTargetRun, at: string): TargetRunEvent[] {
  if (alreadyReported(command, state)) return []
  const held = holding(state, command.data.epoch)
  switch (command.type) {
    case 'start-step':
      return startStep(command.data, held)
    case 'succeed-step':
      return succeedStep(command.data, running(held, command.data))
    case 'fail-step':
      return failStep(command.data, running(held, command.data), at)
    case 'fail-target-run':
      return failBeforeAnyEffect(command.data, held, at)
    case 'report-step-lost': {
      const { why = 'connection-lost', seq: _, at: __, ...lost } = command.data
      return outcomeUnknown(running(held, command.data), { ...lost, why })
    }
    case 'report-cancelled':
      return cancelled(command.data, held)
    case 'report-check':
      return checked(command.data, held)
    case 'hand-back-target-run':
      if (held.status === 'running') throw new DomainError('step-already-started', 'a step is running')
      return [{ type: 'TargetRunHandedBack', data: command.data }]
    case 'report-output-gap':
      return [{ type: 'OutputGapDetected', data: command.data }]
  }
}

/** The same outcome reported twice says nothing new, even after the target run has ended. */
function alreadyReported(command: Report, state: KnownTargetRun): boolean {
  if (command.type !== 'succeed-step' && command.type !== 'fail-step') return false
  const { stepId, attempt, epoch } = command.data
  const ended = Object.hasOwn(state.ended, stepId) ? state.ended[stepId] : undefined
  const outcome = command.type === 'succeed-step' ? 'succeeded' : 'failed'
  return epoch === state.epoch && ended?.attempt === attempt && ended.outcome === outcome
}

function holding(state: KnownTargetRun, epoch: number): Held {
  if (isTargetRunFinished(state)) {
    if (epoch < state.epoch) throw stale(epoch, state)
    throw new DomainError('target-run-finished', `the target run has ended: ${state.status}`)
  }
  if (epoch !== state.epoch || (state.status !== 'claimed' && state.status !== 'running')) throw stale(epoch, state)
  return state
}

const stale = (epoch: number, state: KnownTargetRun) =>
  new DomainError('stale-epoch', `epoch ${epoch} is over; the current one is ${state.epoch} (${state.status})`)

function running(state: Held, { stepId, attempt }: { stepId: string; attempt: number }): Running {
  if (state.status === 'running' && state.stepId === stepId && state.attempt === attempt) return state
  throw new DomainError('step-out-of-order', `attempt ${attempt} of the step ${stepId} is not running`)
}

function startStep(data: DataOf<'start-step'>, state: Held): TargetRunEvent[] {
  const { stepId, attempt } = data
  const [due] = dueSteps(state)
  if (attempt < nextAttempt(state, stepId) || state.status === 'running')
    throw new DomainError('step-already-started', `attempt ${attempt} of ${stepId} cannot start: a start is recorded`)
  if (state.verify)
    throw new DomainError('step-out-of-order', `whether ${state.verify.stepId} took effect is to be checked first`)
  if (due?.id !== stepId || attempt !== nextAttempt(state, stepId))
    throw new DomainError('step-out-of-order', `due is ${due?.id}, not attempt ${attempt} of ${stepId}`)
  return [{ type: 'StepStarted', data }]
}

const stepRunOf = ({ runId, n, stepId, attempt, epoch }: StepRun): StepRun => ({ runId, n, stepId, attempt, epoch })
const sealedOutput = (data: StepReport): TargetRunEvent => ({
  type: 'OutputSealed',
  data: { ...stepRunOf(data), ...data.output },
})

const succeedStep = (data: DataOf<'succeed-step'>, state: Running): TargetRunEvent[] => [
  { type: 'StepSucceeded', data },
  sealedOutput(data),
  ...endIfLast(state, data, data.stepId),
]

function failStep(data: DataOf<'fail-step'>, state: Running, at: string): TargetRunEvent[] {
  if (data.class === 'lost-after-start')
    throw new DomainError('invalid-input', 'a step whose outcome is unknown has not failed: report it as lost')
  const rule = ruleOf(state, data.stepId)
  const notBefore = retryAt(rule, data, at)
  if (notBefore !== undefined) {
    const { class: failure, detail } = data
    const scheduled = { ...stepRunOf(data), started: true, class: failure, detail, notBefore }
    return [{ type: 'StepAttemptFailed', data }, sealedOutput(data), { type: 'StepRetryScheduled', data: scheduled }]
  }
  const failed: TargetRunEvent[] = [{ type: 'StepFailed', data }, sealedOutput(data)]
  const ended = {
    ...state,
    ended: { ...state.ended, [data.stepId]: { attempt: data.attempt, outcome: 'failed' } },
  } as const
  if (rule?.continueOnError || state.recovery) return [...failed, ...endIfLast(ended, data)]
  return [...failed, ...failing(ended, data, data)]
}

/** Nothing happened on the target. The attempt counts all the same, or a target that is away would be tried for ever. */
function failBeforeAnyEffect(data: DataOf<'fail-target-run'>, state: Held, at: string): TargetRunEvent[] {
  if (state.status === 'running') throw new DomainError('step-already-started', 'a step is running')
  const { class: failure, detail, epoch } = data
  const stepId = dueSteps(state)[0]?.id ?? ''
  const attempt = nextAttempt(state, stepId)
  const tried = { ...place(data), stepId, attempt, epoch }
  const notBefore = retryAt(ruleOf(state, stepId), { ...tried, class: failure }, at)
  if (notBefore === undefined) return failingUnlessUnclear(state, data, data)
  return [{ type: 'StepRetryScheduled', data: { ...tried, started: false, class: failure, detail, notBefore } }]
}

/** Once more when the author said it does no harm or gave a check, else a person decides. */
export function outcomeUnknown(
  state: Running,
  data: Extract<TargetRunEvent, { type: 'StepOutcomeUnknown' }>['data'],
): TargetRunEvent[] {
  const unknown: TargetRunEvent = { type: 'StepOutcomeUnknown', data }
  if (mayRepeat(state, data.stepId) || mayVerify(state, data.stepId)) return [unknown]
  const detail = `whether the step ${data.stepId} took effect is unknown, and it may not be repeated on its own`
  return [unknown, needsAttention(state, data, detail)]
}

const needsAttention = (state: Progress, data: StepRun, detail: string): TargetRunEvent => ({
  type: 'TargetRunNeedsAttention',
  data: { ...place(data), targetId: state.targetId, stepId: data.stepId, detail },
})

function checked(data: DataOf<'report-check'>, state: Held): TargetRunEvent[] {
  const { verify } = state
  if (verify?.stepId !== data.stepId || verify.attempt !== data.attempt)
    throw new DomainError('step-out-of-order', `attempt ${data.attempt} of ${data.stepId} is not to be checked`)
  const { verdict, detail } = data
  const told: TargetRunEvent = { type: 'StepChecked', data: { ...stepRunOf(data), verdict, detail } }
  switch (verdict) {
    case 'happened':
      return [told, ...endIfLast(state, data, data.stepId)]
    case 'did-not-happen':
      return [told]
    case 'unclear':
      return [told, needsAttention(state, data, `the check of the step ${data.stepId} does not tell: ${detail}`)]
  }
}

function cancelled(data: DataOf<'report-cancelled'>, state: Held): TargetRunEvent[] {
  const step = state.status === 'running' ? state : undefined
  const { detail } = data
  const stopped = step
    ? stopStep(data, running(state, { stepId: step.stepId, attempt: step.attempt, ...named(data) }))
    : []
  const rest = [...stopped, ...skipRest(state, data, 'cancelled', step?.stepId)]
  if (state.timedOut) return [...rest, targetRunFailed(state, data, { class: 'timed-out', detail })]
  return [...rest, { type: 'TargetRunCancelled', data: { ...place(data), targetId: state.targetId, detail } }]
}

const named = ({ stepId, attempt }: DataOf<'report-cancelled'>) => ({
  ...(stepId !== undefined && { stepId }),
  ...(attempt !== undefined && { attempt }),
})

function stopStep(data: DataOf<'report-cancelled'>, state: Running): TargetRunEvent[] {
  const { runId, n, epoch, seq, at, output, detail, termination } = data
  const step = { runId, n, stepId: state.stepId, attempt: state.attempt, epoch }
  const events: TargetRunEvent[] = [{ type: 'StepCancelled', data: { ...step, seq, at, output, detail } }]
  if (output) events.push({ type: 'OutputSealed', data: { ...step, ...output } })
  switch (termination) {
    case 'not-started':
      return events
    case 'terminated':
      return [...events, { type: 'RemoteProcessTerminated', data: { ...step, detail } }]
    case 'unconfirmed':
      return [...events, { type: 'TerminationUnconfirmed', data: { ...step, detail } }]
  }
}
