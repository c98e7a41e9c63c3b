import type { LogPosition, Recorded } from '../../schemas/events.ts'
import { comparePositions } from '../../schemas/position.ts'
import { runEndedAs } from '../../schemas/run.ts'
import { ActiveRun, type Labels, type RunRequest } from './active-run.ts'
import { fold } from './folds.ts'
import { RunQueue } from './run-queue.ts'
import { TargetLocks } from './target-locks.ts'
import type { Hold } from './target-runs.ts'

/** A place in a run's work. */
export type Place = { run: ActiveRun; n: number }
/** One that this process has taken to claim it; `turn` tells it from others of the same place. */
export type Reservation = Place & { turn: number }

/**
 * Every run that has not ended, folded from the log in order. Memory is bounded by the active runs: a run that has
 * ended is forgotten as soon as nobody holds a claim on it.
 */
export class ActiveRuns {
  readonly #runs = new Map<string, ActiveRun>()
  readonly #queue = new RunQueue()
  readonly #locks = new TargetLocks()
  /** Of runs that take their targets a batch at a time, the batch they have. */
  readonly #holdsBatch = new WeakMap<ActiveRun, number>()
  readonly #ofJob = new Map<string, Set<ActiveRun>>()
  #position: LogPosition | undefined

  readonly #isPermitted: (request: RunRequest) => boolean

  constructor(after: LogPosition | undefined, isPermitted: (request: RunRequest) => boolean = () => true) {
    this.#position = after
    this.#isPermitted = isPermitted
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

  /** Runs of the same job that were requested before this one and have not ended, the oldest first. */
  olderOf(run: ActiveRun): ActiveRun[] {
    const older: ActiveRun[] = []
    for (const other of this.#ofJob.get(run.request.jobId) ?? []) {
      if (other === run) break
      if (other.status !== 'ended') older.push(other)
    }
    return older
  }

  /** Runs that may have to be rejected before they begin. */
  lackingRight(): ActiveRun[] {
    return [...this.#runs.values()].filter(run => run.lacksRight)
  }

  /** Runs of this job that ask for approval before anything of them begins, once no older one is in their way. */
  waitingForApproval({ request }: ActiveRun): ActiveRun[] {
    return [...(this.#ofJob.get(request.jobId) ?? [])].filter(run => run.waitsForJobGate)
  }

  /** Those that wait for targets other runs have. */
  heldUp(): ActiveRun[] {
    return [...this.#runs.values()].filter(run => [...run.held.values()].includes('target'))
  }

  /** Takes the next event of the log; answers the run it belongs to when that is still active or has just ended. */
  apply(event: Recorded): ActiveRun | undefined {
    // After a break the log may tell again what is known: a run that has ended must not begin anew.
    if (!this.#isNew(event.position)) return undefined
    const run = this.#runOf(event)
    if (run) {
      fold(run, event)
      this.#lock(run, event)
      if (run.status === 'ended') {
        this.#tellParent(run, runEndedAs(event.type))
        this.#ended(run)
      }
      this.refresh(run)
    }
    this.#position = event.position
    return run
  }

  /** The log has nothing for us up to here. */
  passed(position: LogPosition): void {
    if (this.#isNew(position)) this.#position = position
  }

  /** The next target run for an executor of this pool with these labels; one whose target is in use is held and passed over. */
  reserve(pool = 'default', labels: Labels = {}): Reservation | undefined {
    const fits = (run: ActiveRun) => run.mayBeDoneBy(labels)
    for (let run = this.#queue.next(pool, fits); run; run = this.#queue.next(pool, fits)) {
      const n = this.#take(run)
      this.refresh(run)
      if (n !== undefined) return { run, n, turn: run.turn(n) }
    }
    return undefined
  }

  #take(run: ActiveRun): number | undefined {
    if (run.together && !run.underWay && !this.#takeBatch(run)) {
      run.waitsForTargets = true
      return undefined
    }
    const n = run.reserve()
    if (n === undefined || this.#locks.take(run, [n])) return n
    run.hold(n, 'target')
    return undefined
  }

  /** Not claimed after all. What somebody has taken anew meanwhile is left to them. */
  release({ run, n, turn }: Reservation): void {
    if (run.turn(n) !== turn) return
    run.release(n)
    this.#leave(run, n)
    this.refresh(run)
  }

  /** Taken, but it cannot go on now. `leftOut`: steps before that, which it will not do. */
  hold({ run, n, turn }: Reservation, why: Hold, leftOut: readonly string[] = []): void {
    if (run.turn(n) !== turn) return
    run.hold(n, why)
    if (run.held.get(n) === why) run.leavesOut(n, leftOut)
    this.#leave(run, n)
    this.refresh(run)
  }

  /** What comes of it is being written, and no claim. */
  settles({ run, n, turn }: Reservation): void {
    if (run.turn(n) === turn) run.settles(n)
  }

  /** To be called when a run was changed from outside. */
  refresh(run: ActiveRun): void {
    // What is being rejected for an older run stays so when that one ends meanwhile.
    const rejected = run.waitsForOlder && run.request.overlap === 'skip'
    run.waitsForOlder = run.status === 'queued' && waits(run) && (rejected || this.olderOf(run).length > 0)
    if (run.available && this.#runs.get(run.runId) === run) this.#queue.add(run)
    else this.#queue.remove(run)
  }

  /** What holds the run up, by the runs that would have to let go first; nothing of it goes on before one is over. */
  waitsOf(run: ActiveRun): ActiveRun[][] {
    if (run.waitsForOlder) return [this.olderOf(run)]
    const held = [...run.held].filter(([, hold]) => hold === 'target').map(([n]) => [n])
    const targets = run.waitsForTargets ? [...held, run.batch()] : held
    const below = [...run.gates.values()].filter(({ status, subRunId }) => status === 'open' && subRunId !== undefined)
    return [
      ...targets.map(numbers => this.#locks.holders(run, numbers)),
      ...below.map(({ subRunId = '' }) => this.#known(subRunId)),
    ]
  }

  #known(runId: string): ActiveRun[] {
    const run = this.#runs.get(runId)
    return run && run.status !== 'ended' ? [run] : []
  }

  /** A run that another one triggered has ended; answers that one. */
  #tellParent({ request: { parent, runId } }: ActiveRun, status: string | undefined): void {
    const above = parent && this.#runs.get(parent.runId)
    if (!above || status === undefined) return
    above.subRunEnded(parent.stepId, runId, status)
    this.refresh(above)
  }

  #ended(run: ActiveRun): void {
    const sameJob = this.#ofJob.get(run.request.jobId)
    if (sameJob?.delete(run)) for (const other of sameJob) this.refresh(other)
    if (sameJob?.size === 0) this.#ofJob.delete(run.request.jobId)
    for (const n of run.targetIds.keys()) if (!run.claims.has(n)) this.#unlock(run, n)
    if (run.settled) this.#runs.delete(run.runId)
  }

  /** A target run has its target from its first claim until it ends or, unless others wait with it, a person is asked. */
  #lock(run: ActiveRun, { data }: Recorded): void {
    if (!('n' in data)) return
    const { n } = data
    if (run.hasEnded(n) || (run.attention.has(n) && !run.together)) this.#unlock(run, n)
    else if (run.begunAt.has(n)) {
      if (run.together) this.#takeBatch(run)
      else this.#locks.take(run, [n])
    }
  }

  /** Once for each batch: there may be thousands in it. */
  #takeBatch(run: ActiveRun): boolean {
    if (this.#holdsBatch.get(run) === run.batchIndex) return true
    if (!this.#locks.take(run, run.batch())) return false
    this.#holdsBatch.set(run, run.batchIndex)
    return true
  }

  /** What was taken for a claim that did not come about. */
  #leave(run: ActiveRun, n: number): void {
    if (!run.together && !run.hasBegun(n)) this.#unlock(run, n)
    if (!run.together || run.underWay) return
    this.#holdsBatch.delete(run)
    for (const each of run.batch()) this.#unlock(run, each)
  }

  #unlock(run: ActiveRun, n: number): void {
    for (const waiting of this.#locks.release(run, n)) this.refresh(waiting)
  }

  #isNew(position: LogPosition): boolean {
    return this.#position === undefined || comparePositions(position, this.#position) > 0
  }

  #runOf(event: Recorded): ActiveRun | undefined {
    if (!('runId' in event.data)) return undefined
    const known = this.#runs.get(event.data.runId)
    if (known) return known
    if (event.type === 'RunRequested') return this.#requested(event)
    // A claim on a run that has ended, or whose beginning lies before the place we started to read at: it must not
    // be forgotten, or its lease would never expire.
    if (event.type === 'TargetRunClaimed' || event.type === 'StepResolved') return this.#stray(event)
    return undefined
  }

  #requested(event: Extract<Recorded, { type: 'RunRequested' }>): ActiveRun {
    const { $correlationId: correlationId, at: requestedAt } = event.metadata
    const run = new ActiveRun({ ...event.data, correlationId, requestEventId: event.id, requestedAt }, this.#position)
    const { parent } = run.request
    if (parent) run.family = this.#runs.get(parent.runId)?.family ?? parent.runId
    run.isLockedByPeople = n => {
      const inTheWay = this.#locks.holders(run, [n])
      return inTheWay.length > 0 && inTheWay.every(other => other.waitsForPeople)
    }
    run.isPermitted = () => this.#isPermitted(run.request)
    this.#runs.set(run.runId, run)
    const sameJob = this.#ofJob.get(run.request.jobId)
    if (sameJob) sameJob.add(run)
    else this.#ofJob.set(run.request.jobId, new Set([run]))
    return run
  }

  #stray(event: Extract<Recorded, { type: 'TargetRunClaimed' | 'StepResolved' }>): ActiveRun {
    const { $correlationId: correlationId, at: requestedAt, actor: initiator } = event.metadata
    const { runId } = event.data
    const targetIds = event.type === 'TargetRunClaimed' ? [event.data.targetId] : []
    const request = {
      ...{ runId, jobId: '', jobVersion: 0, jobName: '', selection: { targetIds }, targets: 0, initiator },
      ...{ maxParallel: 0, correlationId, requestEventId: event.id, requestedAt },
    }
    const run = new ActiveRun(request, this.#position)
    run.status = 'ended'
    this.#runs.set(runId, run)
    return run
  }
}

const waits = (run: ActiveRun): boolean =>
  run.request.overlap === 'queue' || run.request.overlap === 'cancel-previous' || run.request.overlap === 'skip'
