import { DateTime } from 'luxon'
import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { TargetRunCommand, TargetRunEvent } from '../../schemas/target-run.ts'
import { type Decider, DomainError } from './decider.ts'
import { endIfLast, failing, place, skips } from './target-run-end.ts'
import { isReport, outcomeUnknown, report } from './target-run-report.ts'
import {
  evolveTargetRun,
  isTargetRunFinished,
  type KnownTargetRun,
  remainingSteps,
  type TargetRun,
  unclaimed,
} from './target-run-state.ts'
import {
  beginWait,
  cancelTargetRun,
  endUnclaimed,
  endWait,
  failUnclaimed,
  settle,
  timeOut,
} from './target-run-unclaimed.ts'

type DataOf<T extends TargetRunCommand['type']> = Extract<TargetRunCommand, { type: T }>['data']

/** What the run says about this target run; needed by commands from outside, which do not know it. */
export type TargetRunFacts = { targetId: string | undefined; runFinished: boolean } | undefined

/**
 * A run on one target. A step that was started is never started again on its own unless its author declared it
 * idempotent or its check says that it did not take effect: `start-step` is the permission, granted once for each
 * (step, attempt), before the effect.
 */
export const targetRun: Decider<TargetRun, TargetRunCommand, TargetRunEvent, TargetRunFacts> = {
  category: 'targetrun',
  streamOf: data => streams.targetRun(data.runId, data.n),
  initial: { status: 'absent' },
  evolve: evolveTargetRun,
  decide(command, state, meta, facts) {
    if (isReport(command)) return report(command, known(command.data, state), meta.at)
    switch (command.type) {
      case 'claim-target-run':
        return claim(command.data, state, meta)
      case 'end-unclaimed-target-run':
        return endUnclaimed(command.data, state)
      case 'settle-target-run':
        return settle(command.data, state)
      case 'begin-wait':
        return beginWait(command.data, state)
      case 'end-wait':
        return endWait(command.data, state, meta.at)
      case 'time-out-target-run':
        return timeOut(command.data, state)
      case 'fail-unclaimed-target-run':
        return failUnclaimed(command.data, state)
      case 'expire-lease':
        return expireLease(command.data, known(command.data, state))
      case 'record-stale-report': {
        const { epoch } = known(command.data, state)
        return [{ type: 'ReportRejectedStaleEpoch', data: { ...command.data, currentEpoch: epoch } }]
      }
      case 'cancel-target-run':
        return cancelTargetRun(command.data, running(state), facts?.targetId)
      case 'cancel-step':
        return cancelStep(command.data, running(known(command.data, state)))
      case 'resolve-step':
        return resolveStep(command.data, known(command.data, state), facts)
    }
  },
}

function known({ n }: { n: number }, state: TargetRun): KnownTargetRun {
  if (state.status !== 'absent') return state
  throw new DomainError('target-run-not-found', `target run ${n} was never claimed`)
}

function running<S extends TargetRun>(state: S): S {
  if (!isTargetRunFinished(state) || state.status === 'cancelled') return state
  throw new DomainError('target-run-finished', `the target run has ended: ${state.status}`)
}

function claim(data: DataOf<'claim-target-run'>, state: TargetRun, { at }: Meta): TargetRunEvent[] {
  mayBeClaimed(state, at)
  const { leaseSeconds, skip = [], ...rest } = data
  mustBeDue(data, state)
  const epoch = state.status === 'absent' ? 1 : state.epoch + 1
  const deadline = DateTime.fromISO(at, { zone: 'utc' }).plus({ seconds: leaseSeconds }).toISO() ?? at
  return [{ type: 'TargetRunClaimed', data: { ...rest, epoch, deadline } }, ...skips(data, epoch, skip)]
}

function mayBeClaimed(state: TargetRun, at: string): void {
  switch (state.status) {
    case 'absent':
      return
    case 'claimable':
      if (state.notBefore !== undefined && at < state.notBefore)
        throw new DomainError('target-run-not-free', `the next attempt is due at ${state.notBefore}`)
      return
    case 'claimed':
    case 'running':
      throw new DomainError('target-run-taken', `claimed by ${state.claim?.executorId} with epoch ${state.epoch}`)
    case 'waiting':
    case 'needs-attention':
      throw new DomainError('target-run-not-free', `the target run is ${state.status}`)
    case 'succeeded':
    case 'failed':
    case 'cancelled':
      throw new DomainError('target-run-finished', `the target run has ended: ${state.status}`)
  }
}

/** Whoever claims may not know the newest: what is over is neither done nor left out again. */
function mustBeDue({ steps, due, skip = [] }: DataOf<'claim-target-run'>, state: TargetRun): void {
  const { ended, recovery } = state.status === 'absent' ? unclaimed('') : state
  const skipped = skip.map(({ stepId }) => stepId)
  const remaining = remainingSteps({ steps, ended, recovery }).map(({ id }) => id)
  const wanted = due ?? remaining.filter(id => !skipped.includes(id))
  const left = remaining.slice(0, skipped.length + wanted.length)
  if (left.some(id => !wanted.includes(id) && !skipped.includes(id)) || left.length < skipped.length + wanted.length)
    throw new DomainError('step-out-of-order', `due are ${remaining}, not ${wanted}`)
}

function expireLease({ runId, n, epoch, started }: DataOf<'expire-lease'>, state: KnownTargetRun): TargetRunEvent[] {
  if (epoch > state.epoch) throw new DomainError('stale-epoch', `there was no epoch ${epoch}; it is ${state.epoch}`)
  const held = state.status === 'claimed' || state.status === 'running'
  if (!held || epoch < state.epoch) return []
  // Who holds a claim that has begun nothing is given less time: that it has begun something is a sign of life.
  if (state.status === 'running' && started === false)
    throw new DomainError('step-already-started', `the step ${state.stepId} was started meanwhile`)
  const executorId = state.claim?.executorId ?? ''
  const expired: TargetRunEvent = { type: 'LeaseExpired', data: { runId, n, epoch, executorId } }
  if (state.status !== 'running') return [expired]
  const { stepId, attempt } = state
  const detail = `no heartbeat from ${executorId} while the step was running`
  return [expired, ...outcomeUnknown(state, { runId, n, stepId, attempt, epoch, why: 'lease-expired', detail })]
}

function cancelStep(data: DataOf<'cancel-step'>, state: KnownTargetRun): TargetRunEvent[] {
  if (state.status !== 'running' || state.stepId !== data.stepId)
    throw new DomainError('step-not-running', `the step ${data.stepId} is not running`)
  return state.stepCancel === data.stepId ? [] : [{ type: 'StepCancellationRequested', data }]
}

/** A person's word on what nobody could find out. */
function resolveStep(data: DataOf<'resolve-step'>, state: KnownTargetRun, facts: TargetRunFacts): TargetRunEvent[] {
  if (state.status !== 'needs-attention' || state.stepId !== data.stepId)
    throw new DomainError('step-not-unclear', `the step ${data.stepId} does not wait for a word on its outcome`)
  const { stepId, as, reason } = data
  if (as === 'retry' && facts?.runFinished)
    throw new DomainError('run-finished', 'the run has ended: nothing of it can be tried again')
  const { attempt, epoch } = state
  const word: TargetRunEvent = { type: 'StepResolved', data: { ...place(data), stepId, attempt, epoch, as, reason } }
  const next = evolveTargetRun(state, word) as KnownTargetRun
  switch (as) {
    case 'retry':
      return [word]
    case 'succeeded':
      return [word, ...endIfLast(next, data)]
    case 'failed': {
      const rule = state.steps.find(step => step.id === stepId)
      const goesOn = rule?.continueOnError || state.recovery !== undefined
      const why = { class: 'lost-after-start', detail: `a person found that the step ${stepId} failed` } as const
      return [word, ...(goesOn ? endIfLast(next, data) : failing(next, data, why))]
    }
  }
}
