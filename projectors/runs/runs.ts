import type { Statement } from '../../infra/postgres.ts'
import { categoryOf, type Recorded } from '../../schemas/events.ts'
import type { RunEvent, StepRunRow, TargetRunEvent, TargetRunRow } from '../../schemas/run.ts'
import type { State } from '../diff.ts'
import type { Fact, Read } from '../projection.ts'
import { Recent } from '../recent.ts'
import { required } from '../resources/required.ts'
import type { Resources } from '../resources/resources.ts'
import { insertRows, selectRows, upsertRows } from '../table.ts'
import { loadWanted, WorkingRows } from '../working-rows.ts'
import { counterOf, isTerminal, runStatusAfter, targetRunStatusAfter } from './status.ts'
import { evolveStep, isStepEvent, stepKey } from './step.ts'
import { type RunEventRow, type RunState, run, runEvent, stepRun, targetRun } from './tables.ts'

type Of<E extends { type: string; data: unknown }> = Recorded<E>
const isRunEvent = (event: Recorded): event is Of<RunEvent> => categoryOf(event.stream) === 'run'
const isTargetRunEvent = (event: Recorded): event is Of<TargetRunEvent> => categoryOf(event.stream) === 'targetrun'

const byRun = ({ runId }: Partial<RunState>) => `${runId}`
const byTarget = ({ runId, n }: Partial<TargetRunRow>) => `${runId} ${n}`
const byAttempt = ({ runId, n, stepId, attempt }: Partial<StepRunRow>) => `${runId} ${n} ${attempt} ${stepId}`

/** What earlier batches left of their rows. */
export class KnownRuns {
  readonly runs = new Recent<RunState>()
  readonly targets = new Recent<TargetRunRow>()
  readonly steps = new Recent<StepRunRow>()
}

/** The rows of runs, target runs and step runs that a batch of events touches. */
export class Runs {
  readonly #runs
  readonly #targets
  readonly #steps
  readonly #ending = new Map<string, { runId: string }>()
  readonly #timeline: RunEventRow[] = []

  private constructor(known: KnownRuns) {
    this.#runs = new WorkingRows<RunState>(byRun, known.runs)
    this.#targets = new WorkingRows<TargetRunRow>(byTarget, known.targets)
    this.#steps = new WorkingRows<StepRunRow>(byAttempt, known.steps)
  }

  static async load(facts: readonly Fact[], read: Read, known: KnownRuns): Promise<Runs> {
    const runs = new Runs(known)
    for (const { event } of facts) runs.#touch(event)
    await Promise.all([
      loadWanted(runs.#runs, run, read),
      loadWanted(runs.#targets, targetRun, read),
      loadWanted(runs.#steps, stepRun, read),
      runs.#loadOpen(read),
    ])
    return runs
  }

  /** Asks for the rows an event goes on from; a first event makes them. */
  #touch(event: Recorded): void {
    if (isRunEvent(event)) {
      const { runId } = event.data
      if (event.revision === 0n) this.#runs.created({ runId })
      else this.#runs.want({ runId })
      if (event.type === 'TargetsResolved') {
        for (const index of event.data.targetIds.keys()) this.#targets.created({ runId, n: event.data.from + index })
      }
      if (isTerminal(runStatusAfter(event) ?? 'queued')) this.#ending.set(runId, { runId })
    } else if (isTargetRunEvent(event)) {
      this.#runs.want(event.data)
      this.#targets.want(event.data)
      if (event.type === 'StepStarted') this.#steps.created(event.data)
      else if (isStepEvent(event)) this.#steps.want(stepKey(event))
    }
  }

  /** The target runs that end with their run, however long ago they were resolved. */
  async #loadOpen(read: Read): Promise<void> {
    if (this.#ending.size === 0) return
    const ending = [...this.#ending.values()]
    this.#targets.loaded(await read(selectRows(targetRun, ['runId'], ending, `t.status = 'queued'`)))
  }

  apply({ event }: Fact, resources: Resources): void {
    if (isRunEvent(event)) this.#applyToRun(event, resources)
    else if (isTargetRunEvent(event)) this.#applyToTarget(event)
    const about = runOf(event)
    if (about) this.#timeline.push(timelineRow(event, about))
  }

  #applyToRun(event: Of<RunEvent>, resources: Resources): void {
    if (event.type === 'RunRequested') {
      this.#runs.put(requested(event))
      return
    }
    const before = required(this.#runs.get({ runId: event.data.runId }))
    const status = runStatusAfter(event) ?? before.status
    const next: RunState = { ...before, status, revision: event.revision.toString() }
    if (event.type === 'RunStarted') next.startedAt = event.metadata.at
    if (event.type === 'TargetsResolved') this.#resolve(event, next, resources)
    if (isTerminal(status)) this.#finish(event, next)
    this.#runs.put(next)
  }

  #resolve({ data }: Extract<Of<RunEvent>, { type: 'TargetsResolved' }>, state: RunState, resources: Resources): void {
    for (const [index, targetId] of data.targetIds.entries()) {
      const target = resources.target(targetId)
      this.#targets.put({
        runId: data.runId,
        n: data.from + index,
        targetId,
        targetName: target?.name ?? null,
        address: target?.address ?? null,
        status: 'queued',
        executorId: null,
        epoch: null,
        failure: null,
        detail: null,
        startedAt: null,
        finishedAt: null,
      })
    }
    state.queued += data.targetIds.length
  }

  /** Target runs nobody ever claimed have no stream: the end of the run is their end too. */
  #finish(event: Of<RunEvent>, state: RunState): void {
    const finishedAt = event.metadata.at
    for (const row of this.#targets.all()) {
      if (row.runId !== state.runId || row.status !== 'queued') continue
      this.#targets.put({ ...row, status: 'cancelled', detail: 'the run ended before it was claimed', finishedAt })
    }
    if ('counts' in event.data) Object.assign(state, event.data.counts, { queued: 0, running: 0 })
    state.finishedAt = finishedAt
  }

  #applyToTarget(event: Of<TargetRunEvent>): void {
    const before = required(this.#targets.get(event.data))
    const { at } = event.metadata
    const status = targetRunStatusAfter(event) ?? before.status
    const next: TargetRunRow = { ...before, status, ...targetRunFields(event, before, at) }
    if (isTargetRunOver(status)) next.finishedAt = at
    const step = isStepEvent(event) ? evolveStep(this.#steps.get(stepKey(event)), event, at) : undefined
    const counted = this.#counted(before, next)
    // Written only once nothing can fail any more: an event is applied as a whole or not at all.
    this.#targets.put(next)
    if (step) this.#steps.put(step)
    if (counted) this.#runs.put(counted)
  }

  #counted(before: TargetRunRow, after: TargetRunRow): RunState | undefined {
    const from = counterOf(before.status)
    const to = counterOf(after.status)
    const state = required(this.#runs.get({ runId: after.runId }))
    if (from === to || isTerminal(state.status)) return undefined
    return { ...state, [from]: state[from] - 1, [to]: state[to] + 1 }
  }

  keep(): void {
    this.#runs.keep()
    this.#targets.keep()
    this.#steps.keep()
  }

  runIds(): string[] {
    return [...new Set(this.#timeline.map(row => row.runId))]
  }

  statements(): Statement[] {
    return [
      ...upsertRows(run, this.#runs.changed()),
      ...upsertRows(targetRun, this.#targets.changed()),
      ...upsertRows(stepRun, this.#steps.changed()),
      ...insertRows(runEvent, this.#timeline),
    ]
  }
}

function requested(event: Extract<Of<RunEvent>, { type: 'RunRequested' }>): RunState {
  const { runId, jobId, jobName, jobVersion, initiator, reason, targets } = event.data
  return {
    runId,
    revision: event.revision.toString(),
    jobId,
    jobName,
    jobVersion,
    status: 'queued',
    initiator,
    reason: reason ?? null,
    targets,
    ...{ queued: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0, needsAttention: 0 },
    requestedAt: event.metadata.at,
    startedAt: null,
    finishedAt: null,
    requestedCommit: event.position.commit.toString(),
  }
}

/** What an event says about its target run beside the status. */
function targetRunFields(event: TargetRunEvent, before: TargetRunRow, at: string): Partial<TargetRunRow> {
  switch (event.type) {
    case 'TargetRunClaimed': {
      const { executorId, epoch, target } = event.data
      return { executorId, epoch, targetName: target.name, address: target.address, startedAt: before.startedAt ?? at }
    }
    case 'TargetRunHandedBack':
    case 'LeaseExpired':
    case 'StepOutcomeUnknown':
      return { executorId: null }
    case 'TargetRunFailed':
      return { failure: event.data.class, detail: event.data.detail }
    case 'TargetRunCancelled':
    case 'TargetRunNeedsAttention':
      return { detail: event.data.detail }
    case 'StepStarted':
    case 'StepSucceeded':
    case 'StepFailed':
    case 'StepSkipped':
    case 'StepCancelled':
    case 'OutputSealed':
    case 'OutputGapDetected':
    case 'RemoteProcessTerminated':
    case 'TerminationUnconfirmed':
    case 'ReportRejectedStaleEpoch':
    case 'TargetRunSucceeded':
      return {}
  }
}

const isTargetRunOver = (status: TargetRunRow['status']) => !['queued', 'running'].includes(counterOf(status))

/** The run, and the target run if any, that an event is part of. */
function runOf(event: Recorded): { runId: string; n: number | null } | undefined {
  if (isRunEvent(event)) return { runId: event.data.runId, n: null }
  if (isTargetRunEvent(event)) return { runId: event.data.runId, n: event.data.n }
  if (categoryOf(event.stream) !== 'release') return undefined
  const { runId, n } = event.data as { runId: string; n: number }
  return { runId, n }
}

function timelineRow(event: Recorded, { runId, n }: { runId: string; n: number | null }): RunEventRow {
  const { commit, prepare } = event.position
  const position = { commit: commit.toString(), prepare: prepare.toString() }
  return { runId, ...position, type: event.type, n, at: event.metadata.at, data: timelineData(event) }
}

/** A resolved set may hold thousands of ids, which the target runs list as well. */
function timelineData(event: Recorded): State {
  if (event.type !== 'TargetsResolved') return event.data
  const { runId, from, targetIds } = event.data
  return { runId, from, targets: targetIds.length }
}
