import type { Statement } from '../../infra/postgres.ts'
import type { Recorded } from '../../schemas/events.ts'
import { isRunOver, type RunEvent, runEndedAs } from '../../schemas/run.ts'
import type { StepRunRow } from '../../schemas/run-rows.ts'
import type { TargetRunEvent } from '../../schemas/target-run.ts'
import type { Fact, Read } from '../projection.ts'
import { Recent } from '../recent.ts'
import { required } from '../resources/required.ts'
import type { Resources } from '../resources/resources.ts'
import { insertRows, selectRows, upsertRows } from '../table.ts'
import { loadWanted, WorkingRows } from '../working-rows.ts'
import { evolveGate, isGateEvent, opensGate } from './gate.ts'
import { attended, evolveLife } from './life.ts'
import { queuedTargetRun, requestedRun, requestOf } from './requested.ts'
import { counterOf } from './status.ts'
import { evolveStep, isStepEvent, stepKey } from './step.ts'
import {
  type GateState,
  type RunEventRow,
  type RunRequest,
  type RunState,
  run,
  runEvent,
  runGate,
  runRequest,
  stepRun,
  type TargetRunState,
  targetRun,
} from './tables.ts'
import { evolveTargetRun } from './target-run.ts'
import { isRunEvent, isTargetRunEvent, type Of, timelineRow } from './timeline.ts'

const byRun = ({ runId }: Partial<RunState>) => `${runId}`
const byTarget = ({ runId, n }: Partial<TargetRunState>) => `${runId} ${n}`
const byGate = ({ runId, stepId }: Partial<GateState>) => `${runId} ${stepId}`
const byAttempt = ({ runId, n, stepId, attempt }: Partial<StepRunRow>) => `${runId} ${n} ${attempt} ${stepId}`

/** What earlier batches left of their rows. */
export class KnownRuns {
  readonly runs = new Recent<RunState>()
  readonly gates = new Recent<GateState>()
  readonly targets = new Recent<TargetRunState>()
  readonly steps = new Recent<StepRunRow>()
}

/** The rows of runs, target runs and step runs that a batch of events touches. */
export class Runs {
  readonly #runs
  readonly #gates
  readonly #targets
  readonly #steps
  readonly #ending = new Map<string, { runId: string }>()
  readonly #requests: RunRequest[] = []
  readonly #timeline: RunEventRow[] = []

  private constructor(known: KnownRuns) {
    this.#runs = new WorkingRows<RunState>(byRun, known.runs)
    this.#gates = new WorkingRows<GateState>(byGate, known.gates)
    this.#targets = new WorkingRows<TargetRunState>(byTarget, known.targets)
    this.#steps = new WorkingRows<StepRunRow>(byAttempt, known.steps)
  }

  static async load(facts: readonly Fact[], read: Read, known: KnownRuns): Promise<Runs> {
    const runs = new Runs(known)
    for (const { event } of facts) runs.#touch(event)
    await Promise.all([
      loadWanted(runs.#runs, run, read),
      loadWanted(runs.#gates, runGate, read),
      loadWanted(runs.#targets, targetRun, read),
      loadWanted(runs.#steps, stepRun, read),
      runs.#loadOpen(read),
    ])
    return runs
  }

  /** Asks for the rows an event goes on from; a first event makes them. */
  #touch(event: Recorded): void {
    if (isRunEvent(event)) this.#touchRun(event)
    else if (isTargetRunEvent(event)) {
      const { runId, n } = event.data
      this.#runs.want({ runId })
      this.#targets.want({ runId, n })
      if (event.type === 'StepStarted') this.#steps.created(stepKey(event))
      else if (isStepEvent(event)) this.#steps.want(stepKey(event))
    }
  }

  #touchRun(event: Of<RunEvent>): void {
    const { runId } = event.data
    if (event.revision === 0n) this.#runs.created({ runId })
    else this.#runs.want({ runId })
    if (event.type === 'TargetsResolved') {
      for (const index of event.data.targetIds.keys()) this.#targets.created({ runId, n: event.data.from + index })
    }
    if (isGateEvent(event)) {
      const { stepId } = event.data
      if (opensGate(event)) this.#gates.created({ runId, stepId })
      else this.#gates.want({ runId, stepId })
    }
    if (runEndedAs(event.type)) this.#ending.set(runId, { runId })
  }

  /** The target runs and gates that end with their run, however long ago they came to be. */
  async #loadOpen(read: Read): Promise<void> {
    if (this.#ending.size === 0) return
    const ending = [...this.#ending.values()]
    const [targets, gates] = await Promise.all([
      read<TargetRunState>(selectRows(targetRun, ['runId'], ending, `t.status in ('queued', 'waiting')`)),
      read<GateState>(selectRows(runGate, ['runId'], ending, `t.status = 'pending'`)),
    ])
    this.#targets.loaded(targets)
    this.#gates.loaded(gates)
  }

  apply({ event }: Fact, resources: Resources): void {
    if (isRunEvent(event)) this.#applyToRun(event, resources)
    else if (isTargetRunEvent(event)) this.#applyToTarget(event)
    const shown = timelineRow(event)
    if (shown) this.#timeline.push(shown)
  }

  #applyToRun(event: Of<RunEvent>, resources: Resources): void {
    if (event.type === 'RunRequested') {
      this.#runs.put(requestedRun(event))
      this.#requests.push(requestOf(event))
      return
    }
    const { runId } = event.data
    const before = required(this.#runs.get({ runId }))
    const next: RunState = { ...before, ...evolveLife(before, event), revision: event.revision.toString() }
    if (event.type === 'RunStarted') next.startedAt = event.metadata.at
    if (event.type === 'TargetsResolved') this.#resolve(event, next, resources)
    if (isGateEvent(event)) {
      const { stepId } = event.data
      this.#gates.put(evolveGate(this.#gates.get({ runId, stepId }), event, next))
    }
    if (runEndedAs(event.type)) this.#finish(event, next)
    this.#runs.put(next)
  }

  #resolve({ data }: Extract<Of<RunEvent>, { type: 'TargetsResolved' }>, state: RunState, resources: Resources): void {
    for (const [index, targetId] of data.targetIds.entries()) {
      const place = { runId: data.runId, n: data.from + index, targetId }
      this.#targets.put(queuedTargetRun(place, resources.target(targetId)))
    }
    state.queued += data.targetIds.length
  }

  /** Target runs nobody ever claimed have no stream: the end of the run is their end too, as it is of open gates. */
  #finish(event: Of<RunEvent>, state: RunState): void {
    const finishedAt = event.metadata.at
    for (const row of this.#targets.all()) {
      if (row.runId !== state.runId || (row.status !== 'queued' && row.status !== 'waiting')) continue
      const detail = 'the run ended before it was claimed'
      this.#targets.put({ ...row, status: 'cancelled', stepId: null, due: null, detail, finishedAt })
      state[row.status] -= 1
      state.cancelled += 1
    }
    for (const gate of this.#gates.all()) {
      if (gate.runId !== state.runId || gate.status !== 'pending') continue
      this.#gates.put({ ...gate, status: 'withdrawn', closedAt: finishedAt })
    }
    if ('counts' in event.data) Object.assign(state, event.data.counts, { queued: 0, waiting: 0, running: 0 })
    state.finishedAt = finishedAt
  }

  #applyToTarget(event: Of<TargetRunEvent>): void {
    const { runId, n } = event.data
    const before = required(this.#targets.get({ runId, n }))
    const { at } = event.metadata
    const next = evolveTargetRun(before, event, at)
    const step = isStepEvent(event) ? evolveStep(this.#steps.get(stepKey(event)), event, at) : undefined
    const state = required(this.#runs.get({ runId }))
    const after = event.type === 'StepResolved' ? { ...state, ...attended(state) } : state
    const counted = this.#counted(after, before, next)
    // Written only once nothing can fail any more: an event is applied as a whole or not at all.
    this.#targets.put(next)
    if (step) this.#steps.put(step)
    if (counted !== state) this.#runs.put(counted)
  }

  #counted(state: RunState, before: TargetRunState, after: TargetRunState): RunState {
    const from = counterOf(before.status)
    const to = counterOf(after.status)
    if (from === to || isRunOver(state.status)) return state
    return { ...state, [from]: state[from] - 1, [to]: state[to] + 1 }
  }

  keep(): void {
    this.#runs.keep()
    this.#gates.keep()
    this.#targets.keep()
    this.#steps.keep()
  }

  runIds(): string[] {
    return [...new Set(this.#timeline.map(row => row.runId))]
  }

  statements(): Statement[] {
    return [
      ...upsertRows(run, this.#runs.changed()),
      ...insertRows(runRequest, this.#requests),
      ...upsertRows(runGate, this.#gates.changed()),
      ...upsertRows(targetRun, this.#targets.changed()),
      ...upsertRows(stepRun, this.#steps.changed()),
      ...insertRows(runEvent, this.#timeline),
    ]
  }
}
