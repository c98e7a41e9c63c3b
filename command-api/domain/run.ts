import { streams } from '../../schemas/events.ts'
import type { RunCommand, RunEvent } from '../../schemas/run.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'
import { closeSubRun, delegateApproval, deny, expireApproval, grant, openGate, voidApproval } from './run-gates.ts'
import { type RunFacts, repeated, request, requestAgain } from './run-request.ts'
import { type Counts, evolveRun, isFinished, type KnownRun, type Run } from './run-state.ts'

export type IdentifiedRunCommand = Identified<RunCommand, 'runId'>

const nothingKnown: RunFacts = { job: { status: 'absent' }, targets: [], credentials: new Map() }

export const run: Decider<Run, IdentifiedRunCommand, RunEvent, RunFacts | undefined> = {
  category: 'run',
  streamOf: data => streams.run(data.runId),
  initial: { status: 'absent' },
  evolve: evolveRun,
  decide(command, state, meta, facts = nothingKnown) {
    if (command.type === 'trigger-run' || command.type === 'rerun') {
      if (state.status !== 'absent') return repeated(command.data, state)
      if (command.type === 'rerun') return requestAgain(command.data, meta, facts)
      return request(command.data, meta, facts)
    }
    if (state.status === 'absent') throw new DomainError('run-not-found', `no run ${command.data.runId}`)
    switch (command.type) {
      case 'cancel-run':
        mustGoOn(state)
        return state.cancelRequested ? [] : [{ type: 'RunCancellationRequested', data: command.data }]
      case 'time-out-run':
        if (isFinished(state) || state.cancelRequested) return []
        return [{ type: 'RunCancellationRequested', data: { ...command.data, cause: 'timed-out' } }]
      case 'pause-run':
        mustGoOn(state)
        return state.paused || state.cancelRequested ? [] : [{ type: 'RunPaused', data: command.data }]
      case 'resume-run':
        mustGoOn(state)
        return state.paused ? [{ type: 'RunResumed', data: command.data }] : []
      case 'start-run':
        return start(state)
      case 'stop-run':
        return isFinished(state) || state.stopped ? [] : [{ type: 'RunStopped', data: command.data }]
      case 'reject-run':
        if (state.started) throw new DomainError('run-not-startable', 'the run has already begun')
        return isFinished(state) ? [] : [{ type: 'RunRejected', data: command.data }]
      case 'report-attention':
        return attention(command.data, state)
      case 'finish-run':
        return isFinished(state) ? [] : [finish(command.data.counts, state)]
      case 'open-gate':
        mustGoOn(state)
        return openGate(command.data, state, meta.at)
      case 'grant-approval':
        mustGoOn(state)
        return grant(command.data, state, meta, facts.approval)
      case 'deny-approval':
        mustGoOn(state)
        return deny(command.data, state, meta, facts.approval)
      case 'delegate-approval':
        mustGoOn(state)
        return delegateApproval(command.data, state, meta, facts.approval)
      case 'expire-approval':
        return isFinished(state) ? [] : expireApproval(command.data, state, meta)
      case 'void-approval':
        return isFinished(state) ? [] : voidApproval(command.data, state)
      case 'close-sub-run':
        return isFinished(state) ? [] : closeSubRun(command.data, state)
    }
  },
}

function mustGoOn(state: KnownRun): void {
  if (isFinished(state)) throw new DomainError('run-finished', `the run has ended: ${state.status}`)
}

function start(state: KnownRun): RunEvent[] {
  mustGoOn(state)
  if (state.started) return []
  if (state.cancelRequested) throw new DomainError('run-not-startable', 'the run is being cancelled')
  return [{ type: 'RunStarted', data: { runId: state.requested.runId } }]
}

type Attention = Extract<RunCommand, { type: 'report-attention' }>['data']

/** What is left waits for a person. Said once, and again when somebody has resolved a step and it came to the same. */
function attention(data: Attention, state: KnownRun): RunEvent[] {
  const { counts, resolved } = data
  const known = JSON.stringify({ counts, resolved }) === JSON.stringify(state.attention)
  return isFinished(state) || known ? [] : [{ type: 'RunNeedsAttention', data }]
}

/**
 * How a run ends follows from how its target runs ended, and from the steps that are done once for all of it. A
 * cancellation that came too late to stop anything does not make a run cancelled. A cancelled run does not wait for
 * people: what they did not decide stays in its counts.
 */
function finish(counts: Counts, state: KnownRun): RunEvent {
  const data = { runId: state.requested.runId, counts }
  const { succeeded, failed, cancelled, needsAttention } = counts
  if (succeeded + failed + cancelled + needsAttention !== state.requested.targets)
    throw new DomainError('conflict', `the counts do not add up to ${state.requested.targets} targets`)
  if (needsAttention > 0 && !state.cancelRequested)
    throw new DomainError('conflict', `${needsAttention} target runs wait for a person`)
  if (Object.values(state.gates).some(({ kind, status }) => kind === 'job-run' && status === 'open'))
    throw new DomainError('conflict', 'a run that it triggered goes on')
  if (state.rejected) return { type: 'RunRejected', data: { ...data, ...state.rejected } }
  const left = (state.requested.plan ?? []).some(({ id, gate }) => gate && state.gates[id]?.status !== 'passed')
  if (failed + cancelled + needsAttention === 0 && !left) return { type: 'RunSucceeded', data }
  if (state.timedOut) return { type: 'RunTimedOut', data }
  if (state.cancelRequested && (cancelled + needsAttention > 0 || left)) return { type: 'RunCancelled', data }
  return succeeded > 0 ? { type: 'RunPartiallySucceeded', data } : { type: 'RunFailed', data }
}
