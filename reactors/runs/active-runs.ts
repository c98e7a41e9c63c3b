import type { AnyEvent, LogPosition, Recorded } from '../../schemas/events.ts'
import { comparePositions } from '../../schemas/position.ts'
import { ActiveRun } from './active-run.ts'

/** A place in a run's work that this process has taken to claim it. */
export type Reservation = { run: ActiveRun; n: number; as: 'fresh' | 'requeued' }

/**
 * Every run that has not ended, folded from the log in order. Memory is bounded by the active runs: a run that has
 * ended is forgotten as soon as nobody holds a claim on it.
 */
export class ActiveRuns {
  readonly #runs = new Map<string, ActiveRun>()
  /** Runs with something to claim, the one that has waited longest since its last turn first. */
  readonly #ring = new Set<ActiveRun>()
  #position: LogPosition | undefined

  constructor(after: LogPosition | undefined) {
    this.#position = after
  }

  get(runId: string): ActiveRun | undefined {
    return this.#runs.get(runId)
  }

  all(): Iterable<ActiveRun> {
    return this.#runs.values()
  }

  get size(): number {
    return this.#runs.size
  }

  /** Where a restart may begin to read without missing anything of a run that is active now. */
  get lowWater(): LogPosition | undefined {
    // Runs are added in the order of the log, so the first one is the oldest.
    for (const run of this.#runs.values()) return run.before
    return this.#position
  }

  /** Takes the next event of the log; answers the run it belongs to when that is still active or has just ended. */
  apply(event: Recorded): ActiveRun | undefined {
    // After a break the log may tell again what is known: a run that has ended must not begin anew.
    if (!this.#isNew(event.position)) return undefined
    const run = this.#runOf(event)
    if (run) {
      fold(run, event)
      if (run.status === 'ended' && run.claims.size === 0) this.#runs.delete(run.runId)
      this.refresh(run)
    }
    this.#position = event.position
    return run
  }

  /** The log has nothing for us up to here. */
  passed(position: LogPosition): void {
    if (this.#isNew(position)) this.#position = position
  }

  /** One target run from each run in turn, so that a large run does not hold up a small one. */
  reserve(): Reservation | undefined {
    for (const run of this.#ring) {
      this.#ring.delete(run)
      const requeued = run.requeued.size > 0
      const n = run.reserve()
      this.refresh(run)
      if (n !== undefined) return { run, n, as: requeued ? 'requeued' : 'fresh' }
    }
    return undefined
  }

  release({ run, n, as }: Reservation): void {
    run.release(n, as)
    this.refresh(run)
  }

  /** To be called when a run was changed from outside. */
  refresh(run: ActiveRun): void {
    if (run.available && this.#runs.get(run.runId) === run) this.#ring.add(run)
    else this.#ring.delete(run)
  }

  #isNew(position: LogPosition): boolean {
    return this.#position === undefined || comparePositions(position, this.#position) > 0
  }

  #runOf(event: Recorded): ActiveRun | undefined {
    if (!('runId' in event.data)) return undefined
    const known = this.#runs.get(event.data.runId)
    if (known) return known
    if (event.type === 'RunRequested') return this.#add(requestedRun(event, this.#position))
    // A claim on a run that has ended, or whose beginning lies before the place we started to read at: it must not
    // be forgotten, or its lease would never expire.
    if (event.type === 'TargetRunClaimed') return this.#add(strayRun(event, this.#position))
    return undefined
  }

  #add(run: ActiveRun): ActiveRun {
    this.#runs.set(run.runId, run)
    return run
  }
}

function requestedRun(event: Recorded<Extract<AnyEvent, { type: 'RunRequested' }>>, before: LogPosition | undefined) {
  const { runId, jobId, jobVersion, credentialId, targets, maxParallel } = event.data
  return new ActiveRun(
    {
      runId,
      jobId,
      jobVersion,
      credentialId,
      maxParallel: maxParallel ?? targets,
      targets,
      correlationId: event.metadata.$correlationId,
      requestEventId: event.id,
    },
    before,
  )
}

function strayRun(event: Recorded<Extract<AnyEvent, { type: 'TargetRunClaimed' }>>, before: LogPosition | undefined) {
  const run = new ActiveRun(
    {
      runId: event.data.runId,
      jobId: '',
      jobVersion: 0,
      credentialId: undefined,
      maxParallel: 0,
      targets: 0,
      correlationId: event.metadata.$correlationId,
      requestEventId: event.id,
    },
    before,
  )
  run.status = 'ended'
  return run
}

type DataOf<T extends AnyEvent['type']> = Extract<AnyEvent, { type: T }>['data']
type Folds = { [T in AnyEvent['type']]?: (run: ActiveRun, data: DataOf<T>) => void }

const runEnded = (run: ActiveRun) => {
  run.status = 'ended'
}
const requeue = (run: ActiveRun, { n, epoch }: { n: number; epoch: number }) => run.requeue(n, epoch)

const folds: Folds = {
  TargetsResolved: (run, { from, targetIds }) => run.resolve(from, targetIds),
  RunStarted: run => {
    if (run.status === 'queued') run.status = 'running'
  },
  RunCancellationRequested: run => {
    if (run.status !== 'ended') run.status = 'cancelling'
  },
  RunSucceeded: runEnded,
  RunPartiallySucceeded: runEnded,
  RunFailed: runEnded,
  RunCancelled: runEnded,
  RunNeedsAttention: runEnded,
  TargetRunClaimed: (run, { n, executorId, epoch }) => run.claimed(n, { executorId, epoch, started: false }),
  StepStarted: (run, { n, epoch }) => run.started(n, epoch),
  TargetRunHandedBack: requeue,
  LeaseExpired: requeue,
  // Where the step may not be repeated, the end of the target run follows in the same append.
  StepOutcomeUnknown: requeue,
  TargetRunSucceeded: (run, { n }) => run.end(n, 'succeeded'),
  TargetRunFailed: (run, { n }) => run.end(n, 'failed'),
  TargetRunCancelled: (run, { n }) => run.end(n, 'cancelled'),
  TargetRunNeedsAttention: (run, { n }) => run.end(n, 'needs-attention'),
}

function fold(run: ActiveRun, event: Recorded): void {
  // Each entry takes the data of its own type, which the compiler cannot follow through the lookup.
  const apply = folds[event.type] as ((run: ActiveRun, data: Recorded['data']) => void) | undefined
  apply?.(run, event.data)
}
