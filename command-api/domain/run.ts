import { streams } from '../../schemas/events.ts'
import type { JobVersion, Selection } from '../../schemas/job.ts'
import type { Meta } from '../../schemas/kernel.ts'
import type { RunCommand, RunEvent } from '../../schemas/run.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'
import { type Job, latest } from './job.ts'

type Finished = 'succeeded' | 'partially-succeeded' | 'failed' | 'cancelled' | 'needs-attention'
type Requested = Extract<RunEvent, { type: 'RunRequested' }>['data']
export type Run =
  | { status: 'absent' }
  | {
      status: 'queued' | 'running' | 'cancelling' | Finished
      requested: Requested
      started: boolean
      cancelRequested: boolean
      /** In the order of `n`. */
      targetIds: readonly string[]
    }
type Known = Exclude<Run, { status: 'absent' }>
type Counts = Extract<RunCommand, { type: 'finish-run' }>['data']['counts']

/** A target the selection led to; `absent` and `decommissioned` only for targets that were named by id. */
export type SelectedTarget = {
  targetId: string
  status: 'active' | 'decommissioned' | 'absent'
  credentialId?: string | undefined
}
export type RunFacts = {
  job: Job
  /** What `chosenSelection` selects: named ones first as named, then by label; none twice. */
  targets: readonly SelectedTarget[]
  credentials: ReadonlyMap<string, 'active' | 'revoked'>
}
export type IdentifiedRunCommand = Identified<RunCommand, 'runId'>
type Trigger = Extract<IdentifiedRunCommand, { type: 'trigger-run' }>['data']

export const MAX_TARGETS = 10_000
/** Keeps one event below 40 kB and the largest run's whole append below half of what the event store takes. */
const CHUNK = 1_000

export const run: Decider<Run, IdentifiedRunCommand, RunEvent, RunFacts | undefined> = {
  category: 'run',
  streamOf: data => streams.run(data.runId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state, meta, facts) {
    if (command.type === 'trigger-run') {
      if (state.status !== 'absent') return repeated(command.data, state)
      return request(command.data, meta, facts ?? { job: { status: 'absent' }, targets: [], credentials: new Map() })
    }
    if (state.status === 'absent') throw new DomainError('run-not-found', `no run ${command.data.runId}`)
    switch (command.type) {
      case 'cancel-run':
        return cancel(command.data, state)
      case 'start-run':
        return start(state)
      case 'finish-run':
        return isFinished(state) ? [] : [finish(command.data.counts, state)]
    }
  },
}

/** The job version a trigger asks for: the named one or the newest. */
export function chosenVersion(data: Pick<Trigger, 'version'>, job: Job): JobVersion | undefined {
  if (job.status === 'absent') return undefined
  return data.version === undefined ? latest(job) : job.versions.find(v => v.version === data.version)
}

/** Which targets a trigger means: what it says itself, else what the job version says. */
export const chosenSelection = (data: Pick<Trigger, 'version' | 'selection'>, job: Job): Selection | undefined =>
  data.selection ?? chosenVersion(data, job)?.selection

function repeated(data: Trigger, { requested }: Known): RunEvent[] {
  const same =
    data.jobId === requested.jobId &&
    data.reason === requested.reason &&
    (data.version ?? requested.jobVersion) === requested.jobVersion &&
    sameSelection(data.selection ?? requested.selection, requested.selection)
  if (same) return []
  throw new DomainError('run-already-exists', `there is already a run ${data.runId}`)
}

function sameSelection(a: Selection, b: Selection): boolean {
  return a.labels === b.labels && a.targetIds?.join() === b.targetIds?.join()
}

function request(data: Trigger, meta: Meta, facts: RunFacts): RunEvent[] {
  const { job } = facts
  if (job.status === 'absent') throw new DomainError('job-not-found', `no job ${data.jobId}`)
  if (job.status === 'archived') throw new DomainError('job-archived', `the job ${job.name} is archived`)
  if (job.status === 'disabled') throw new DomainError('job-disabled', `the job ${job.name} is disabled`)
  const version = chosenVersion(data, job)
  if (!version) throw new DomainError('job-version-not-found', `the job ${job.name} has no version ${data.version}`)
  const selection = chosenSelection(data, job)
  if (!selection) throw new DomainError('selection-missing', `name targets: the job ${job.name} has no selection`)
  const targetIds = usable(facts, version)
  const requested: Requested = {
    runId: data.runId,
    jobId: job.jobId,
    jobVersion: version.version,
    jobName: job.name,
    credentialId: version.credentialId,
    maxParallel: version.maxParallel,
    selection,
    targets: targetIds.length,
    initiator: meta.actor,
    reason: data.reason,
  }
  return [{ type: 'RunRequested', data: requested }, ...chunks(data.runId, targetIds)]
}

/** The ids of the selected targets, once each of them can be logged in to. */
function usable({ targets, credentials }: RunFacts, version: JobVersion): string[] {
  if (targets.length === 0) throw new DomainError('empty-selection', 'no active target matches the selection')
  if (targets.length > MAX_TARGETS)
    throw new DomainError('too-many-targets', `${targets.length} targets match; a run has at most ${MAX_TARGETS}`)
  for (const { targetId, status, credentialId } of targets) {
    if (status === 'absent') throw new DomainError('target-not-found', `no target ${targetId}`)
    if (status === 'decommissioned')
      throw new DomainError('target-decommissioned', `the target ${targetId} is decommissioned`)
    checkCredential(targetId, version.credentialId ?? credentialId, credentials)
  }
  return targets.map(t => t.targetId)
}

function checkCredential(targetId: string, id: string | undefined, statuses: RunFacts['credentials']): void {
  if (id === undefined) throw new DomainError('credential-missing', `the target ${targetId} has no credential`)
  const status = statuses.get(id)
  if (!status) throw new DomainError('credential-not-found', `no credential ${id}, which the target ${targetId} needs`)
  if (status === 'revoked')
    throw new DomainError('credential-revoked', `the credential ${id}, which the target ${targetId} needs, is revoked`)
}

function chunks(runId: string, targetIds: readonly string[]): RunEvent[] {
  const events: RunEvent[] = []
  for (let from = 0; from < targetIds.length; from += CHUNK)
    events.push({ type: 'TargetsResolved', data: { runId, from, targetIds: targetIds.slice(from, from + CHUNK) } })
  return events
}

function cancel(data: { runId: string; reason?: string | undefined }, state: Known): RunEvent[] {
  if (isFinished(state)) throw new DomainError('run-finished', `the run has ended: ${state.status}`)
  if (state.cancelRequested) return []
  return [{ type: 'RunCancellationRequested', data }]
}

function start(state: Known): RunEvent[] {
  if (isFinished(state)) throw new DomainError('run-finished', `the run has ended: ${state.status}`)
  if (state.started) return []
  if (state.cancelRequested) throw new DomainError('run-not-startable', 'the run is being cancelled')
  return [{ type: 'RunStarted', data: { runId: state.requested.runId } }]
}

/**
 * How a run ends follows from how its target runs ended. A cancellation that came too late to stop anything does not
 * make a run cancelled.
 */
function finish(counts: Counts, state: Known): RunEvent {
  const data = { runId: state.requested.runId, counts }
  const { succeeded, failed, cancelled, needsAttention } = counts
  if (succeeded + failed + cancelled + needsAttention !== state.requested.targets)
    throw new DomainError('conflict', `the counts do not add up to ${state.requested.targets} targets`)
  if (needsAttention > 0) return { type: 'RunNeedsAttention', data }
  if (cancelled > 0 && state.cancelRequested) return { type: 'RunCancelled', data }
  if (failed + cancelled === 0) return { type: 'RunSucceeded', data }
  return succeeded > 0 ? { type: 'RunPartiallySucceeded', data } : { type: 'RunFailed', data }
}

/** Terminal is terminal. */
export function isFinished(state: Run): boolean {
  switch (state.status) {
    case 'absent':
    case 'queued':
    case 'running':
    case 'cancelling':
      return false
    case 'succeeded':
    case 'partially-succeeded':
    case 'failed':
    case 'cancelled':
    case 'needs-attention':
      return true
  }
}

function evolve(state: Run, event: RunEvent): Run {
  if (event.type === 'RunRequested')
    return { status: 'queued', requested: event.data, started: false, cancelRequested: false, targetIds: [] }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'TargetsResolved':
      return { ...state, targetIds: [...state.targetIds, ...event.data.targetIds] }
    case 'RunStarted':
      return { ...state, status: 'running', started: true }
    case 'RunCancellationRequested':
      return { ...state, status: 'cancelling', cancelRequested: true }
    case 'RunSucceeded':
      return { ...state, status: 'succeeded' }
    case 'RunPartiallySucceeded':
      return { ...state, status: 'partially-succeeded' }
    case 'RunFailed':
      return { ...state, status: 'failed' }
    case 'RunCancelled':
      return { ...state, status: 'cancelled' }
    case 'RunNeedsAttention':
      return { ...state, status: 'needs-attention' }
  }
}
