import { DateTime } from 'luxon'
import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { TargetRunCommand, TargetRunEvent } from '../../schemas/run.ts'
import { type Decider, DomainError } from './decider.ts'
import {
  evolveTargetRun,
  isTargetRunFinished,
  type KnownTargetRun,
  mayRepeat,
  nextAttempt,
  type Progress,
  remainingSteps,
  type TargetRun,
} from './target-run-state.ts'

type DataOf<T extends TargetRunCommand['type']> = Extract<TargetRunCommand, { type: T }>['data']
type Running = Extract<TargetRun, { status: 'running' }>
type Held = Progress & { status: 'claimed' | 'running' }
type StepReport = DataOf<'succeed-step'> | DataOf<'fail-step'>

/**
 * A run on one target. A step that was started is never started again on its own unless its author declared it
 * idempotent: `start-step` is the permission, granted once for each (step, attempt), before the effect.
 */
export const targetRun: Decider<TargetRun, TargetRunCommand, TargetRunEvent, unknown> = {
  category: 'targetrun',
  streamOf: data => streams.targetRun(data.runId, data.n),
  initial: { status: 'absent' },
  evolve: evolveTargetRun,
  decide(command, state, meta) {
    if (command.type === 'claim-target-run') return claim(command.data, state, meta)
    if (command.type === 'cancel-target-run') return cancelUnclaimed(command.data, state)
    if (state.status === 'absent')
      throw new DomainError('target-run-not-found', `target run ${command.data.n} was never claimed`)
    if (command.type === 'expire-lease') return expireLease(command.data, state)
    if (command.type === 'record-stale-report')
      return [{ type: 'ReportRejectedStaleEpoch', data: { ...command.data, currentEpoch: state.epoch } }]
    return report(command, state)
  },
}

type Report = Exclude<
  TargetRunCommand,
  { type: 'claim-target-run' | 'cancel-target-run' | 'expire-lease' | 'record-stale-report' }
>

/** What the executor that holds the claim says. */
function report(command: Report, state: KnownTargetRun): TargetRunEvent[] {
  if (alreadyReported(command, state)) return []
  const held = holding(state, command.data.epoch)
  switch (command.type) {
    case 'start-step':
      return startStep(command.data, held)
    case 'succeed-step':
      return succeedStep(command.data, running(state, command.data))
    case 'fail-step':
      return failStep(command.data, running(state, command.data))
    case 'fail-target-run':
      return failBeforeAnyEffect(command.data, held)
    case 'report-step-lost': {
      const { why = 'connection-lost', seq: _, at: __, ...lost } = command.data
      return outcomeUnknown(running(state, command.data), { ...lost, why })
    }
    case 'report-cancelled':
      return cancelled(command.data, state)
    case 'hand-back-target-run':
      refuseWhileRunning(held)
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
  if (epoch !== state.epoch || state.status === 'claimable') throw stale(epoch, state)
  return state as Held
}

const stale = (epoch: number, state: KnownTargetRun) =>
  new DomainError('stale-epoch', `epoch ${epoch} is over; the current one is ${state.epoch} (${state.status})`)

function running(state: KnownTargetRun, { stepId, attempt }: { stepId: string; attempt: number }): Running {
  if (state.status === 'running' && state.stepId === stepId && state.attempt === attempt) return state
  throw new DomainError('step-out-of-order', `attempt ${attempt} of the step ${stepId} is not running`)
}

function refuseWhileRunning(state: Progress & { status: string }): void {
  if (state.status === 'running') throw new DomainError('step-already-started', 'a step is running')
}

function claim(data: DataOf<'claim-target-run'>, state: TargetRun, { at }: Meta): TargetRunEvent[] {
  if (isTargetRunFinished(state))
    throw new DomainError('target-run-finished', `the target run has ended: ${state.status}`)
  if (state.status === 'claimed' || state.status === 'running')
    throw new DomainError('target-run-taken', `claimed by ${state.claim?.executorId} with epoch ${state.epoch}`)
  const { leaseSeconds, ...rest } = data
  const epoch = state.status === 'absent' ? 1 : state.epoch + 1
  const deadline = DateTime.fromISO(at, { zone: 'utc' }).plus({ seconds: leaseSeconds }).toISO() ?? at
  return [{ type: 'TargetRunClaimed', data: { ...rest, epoch, deadline } }]
}

function startStep(data: DataOf<'start-step'>, state: Held): TargetRunEvent[] {
  const { stepId, attempt } = data
  const [due] = remainingSteps(state)
  const started = attempt < nextAttempt(state, stepId)
  if (started || state.status === 'running')
    throw new DomainError('step-already-started', `attempt ${attempt} of ${stepId} cannot start: a start is recorded`)
  if (due?.id !== stepId || attempt !== nextAttempt(state, stepId))
    throw new DomainError('step-out-of-order', `due is ${due?.id}, not attempt ${attempt} of ${stepId}`)
  return [{ type: 'StepStarted', data }]
}

function sealedOutput({ runId, n, stepId, attempt, epoch, output }: StepReport): TargetRunEvent {
  return { type: 'OutputSealed', data: { runId, n, stepId, attempt, epoch, ...output } }
}

function succeedStep(data: DataOf<'succeed-step'>, state: Running): TargetRunEvent[] {
  return [{ type: 'StepSucceeded', data }, sealedOutput(data), ...succeededIfLast(data, state)]
}

/** A target run whose failed steps were all allowed to fail (`continueOnError`) has succeeded. */
function succeededIfLast({ runId, n }: StepReport, state: Running): TargetRunEvent[] {
  if (remainingSteps(state).length > 1) return []
  return [{ type: 'TargetRunSucceeded', data: { runId, n, targetId: state.targetId } }]
}

function failStep(data: DataOf<'fail-step'>, state: Running): TargetRunEvent[] {
  if (data.class === 'lost-after-start')
    throw new DomainError('invalid-input', 'a step whose outcome is unknown has not failed: report it as lost')
  const failed: TargetRunEvent[] = [{ type: 'StepFailed', data }, sealedOutput(data)]
  const rule = state.steps.find(step => step.id === data.stepId)
  if (rule?.continueOnError) return [...failed, ...succeededIfLast(data, state)]
  const { runId, n } = data
  return [
    ...failed,
    ...skipped(state, { runId, n }, 'earlier-step-failed', data.stepId),
    { type: 'TargetRunFailed', data: { runId, n, targetId: state.targetId, class: data.class, detail: data.detail } },
  ]
}

function skipped(
  state: Progress,
  where: { runId: string; n: number },
  why: 'earlier-step-failed' | 'cancelled',
  except?: string,
): TargetRunEvent[] {
  return remainingSteps(state)
    .filter(step => step.id !== except)
    .map(step => ({ type: 'StepSkipped', data: { ...where, stepId: step.id, epoch: state.epoch, why } }))
}

function failBeforeAnyEffect(data: DataOf<'fail-target-run'>, state: Held): TargetRunEvent[] {
  refuseWhileRunning(state)
  const { runId, n, class: failure, detail } = data
  return [
    ...skipped(state, { runId, n }, 'earlier-step-failed'),
    { type: 'TargetRunFailed', data: { runId, n, targetId: state.targetId, class: failure, detail } },
  ]
}

/** Once more when the author said it does no harm, else a person decides. */
function outcomeUnknown(
  state: Running,
  data: Extract<TargetRunEvent, { type: 'StepOutcomeUnknown' }>['data'],
): TargetRunEvent[] {
  const unknown: TargetRunEvent = { type: 'StepOutcomeUnknown', data }
  if (mayRepeat(state, data.stepId)) return [unknown]
  const { runId, n, stepId } = data
  const detail = `whether the step ${stepId} took effect is unknown, and it may not be repeated on its own`
  return [unknown, { type: 'TargetRunNeedsAttention', data: { runId, n, targetId: state.targetId, stepId, detail } }]
}

function expireLease({ runId, n, epoch }: DataOf<'expire-lease'>, state: KnownTargetRun): TargetRunEvent[] {
  const held = state.status === 'claimed' || state.status === 'running'
  if (!held || epoch < state.epoch) return []
  if (epoch > state.epoch) throw stale(epoch, state)
  const executorId = state.claim?.executorId ?? ''
  const expired: TargetRunEvent = { type: 'LeaseExpired', data: { runId, n, epoch, executorId } }
  if (state.status !== 'running') return [expired]
  const { stepId, attempt } = state
  const detail = `no heartbeat from ${executorId} while the step was running`
  return [expired, ...outcomeUnknown(state, { runId, n, stepId, attempt, epoch, why: 'lease-expired', detail })]
}

function cancelled(data: DataOf<'report-cancelled'>, state: KnownTargetRun): TargetRunEvent[] {
  const { runId, n, detail } = data
  const stopped = state.status === 'running' ? stopStep(data, running(state, orRunning(data, state))) : []
  const except = state.status === 'running' ? state.stepId : undefined
  return [
    ...stopped,
    ...skipped(state, { runId, n }, 'cancelled', except),
    { type: 'TargetRunCancelled', data: { runId, n, targetId: state.targetId, detail } },
  ]
}

const orRunning = ({ stepId, attempt }: DataOf<'report-cancelled'>, state: Running) => ({
  stepId: stepId ?? state.stepId,
  attempt: attempt ?? state.attempt,
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

function cancelUnclaimed(data: DataOf<'cancel-target-run'>, state: TargetRun): TargetRunEvent[] {
  const { runId, n, targetId } = data
  const ended: TargetRunEvent = {
    type: 'TargetRunCancelled',
    data: { runId, n, targetId, detail: 'cancelled before any executor took it' },
  }
  if (state.status === 'absent') return [ended]
  if (state.status === 'cancelled') return []
  if (isTargetRunFinished(state))
    throw new DomainError('target-run-finished', `the target run has ended: ${state.status}`)
  if (state.status !== 'claimable')
    throw new DomainError('target-run-taken', `claimed by ${state.claim?.executorId} with epoch ${state.epoch}`)
  return [...skipped(state, { runId, n }, 'cancelled'), ended]
}
