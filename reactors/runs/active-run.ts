import { type Bound, JOB_GATE } from '../../schemas/approval.ts'
import type { LogPosition } from '../../schemas/events.ts'
import { matchesLabels, parseLabelExpression } from '../../schemas/label-expression.ts'
import type { RunEvent } from '../../schemas/run.ts'
import { Batches } from './batches.ts'
import { Passage } from './passage.ts'
import { SerialGroups } from './serial-groups.ts'
import { acceptedFailures } from './strategy.ts'
import { type Ending, type Hold, TargetRuns } from './target-runs.ts'

export type Counts = Record<Ending | 'needsAttention', number>

type Requested = Extract<RunEvent, { type: 'RunRequested' }>['data']
export type RunRequest = Requested & { correlationId: string; requestEventId: string; requestedAt: string }
export type Labels = Readonly<Record<string, string>>
export type Gate = {
  status: 'open' | 'passed' | 'closed'
  expiresAt?: string
  /** What is agreed to, until something begins that hangs on it. */
  bound?: Bound | undefined
  subRunId?: string
  /** How the run that it triggered ended. */
  subRunEnded?: string
}

/** What makes one call for people another than the one before. */
export const attentionOf = ({ counts, resolved = 0 }: { counts: Counts; resolved?: number | undefined }): string =>
  JSON.stringify([counts, resolved])

/** One run that has not ended, as its events tell it, with what this process is about to claim. */
export class ActiveRun extends TargetRuns {
  readonly request: RunRequest
  /** The log position just before the run's first event; undefined is the beginning of the log. */
  readonly before: LogPosition | undefined
  readonly targetIds: string[] = []
  readonly gates = new Map<string, Gate>()
  /** How often what was agreed to was something else when it came to it. */
  readonly #voided = new Map<string, number>()
  /** The running steps somebody wants stopped. */
  readonly unwantedSteps = new Map<number, string>()
  /** Target runs somebody wants stopped. */
  readonly unwanted = new Set<number>()
  /** How runs that steps of this one triggered have ended, which may be told before they were triggered is. */
  readonly #subRunEnds = new Map<string, string>()
  readonly passage: Passage
  status: 'queued' | 'running' | 'cancelling' | 'ended' = 'queued'
  /** The run nobody's step triggered, which led to this one. */
  family: string
  paused = false
  stopped = false
  startedAt: string | undefined
  /** With what the log last said that people are needed, as `attentionOf` writes it. */
  attentionTold: string | undefined
  /** How many of its steps people have resolved. */
  resolved = 0
  /** An older run of the same job has to end first. */
  waitsForOlder = false
  /** Other runs have to leave its targets first. */
  waitsForTargets = false
  /** Whether those that have one of its targets wait for people. */
  isLockedByPeople: (n: number) => boolean = () => false
  /** Whether whoever asked for it still may. */
  isPermitted: () => boolean = () => true
  /** Those that leave steps out and have not begun. */
  readonly #waitingOutside = new Set<number>()
  readonly #groups = new SerialGroups()
  readonly #batches: Batches
  readonly #acceptedFailures: number
  readonly #executors: ReturnType<typeof parseLabelExpression>
  constructor(request: RunRequest, before: LogPosition | undefined) {
    super()
    this.request = request
    this.family = request.runId
    this.before = before
    this.passage = new Passage(request.plan ?? [])
    this.#batches = new Batches(request.strategy?.batches, request.targets)
    this.#executors = request.executors === undefined ? undefined : parseLabelExpression(request.executors)
    this.#acceptedFailures = acceptedFailures(request.strategy?.maxFailures, request.targets)
  }

  get runId(): string {
    return this.request.runId
  }

  /** Whether its job wants an executor with these labels. */
  mayBeDoneBy(labels: Labels): boolean {
    return this.#executors === undefined || matchesLabels(this.#executors, labels)
  }

  get everClaimed(): boolean {
    return this.begun > 0
  }

  /** On some target it has succeeded or may yet. */
  get canSucceed(): boolean {
    return this.lost < this.request.targets
  }

  get tooManyFailed(): boolean {
    return this.endings.failed > this.#acceptedFailures
  }

  /** Target runs that may have begun by now: those of the batches up to the current one, or that did begin. */
  get scope(): number {
    return this.halted ? this.begun + this.starting : this.#batches.admitted
  }

  /** Too many failed, or a gate closed: what has not begun never will. */
  get halted(): boolean {
    return this.stopped || this.closed
  }

  /** A step of the whole run will not be done, and so nothing that needs it. */
  get closed(): boolean {
    for (const { status } of this.gates.values()) if (status === 'closed') return true
    return false
  }

  /**
   * Its targets wait for each other somewhere. If it had some of them and waited for others, which a run like it has,
   * neither would ever go on: so it takes those of a batch all at once.
   */
  get together(): boolean {
    return this.passage.joins
  }

  /** Some of its target runs have begun or are about to, and have not ended. */
  get underWay(): boolean {
    return this.begunAt.size + this.reserved > 0
  }

  /** Which batch is being worked on, from 0. */
  get batchIndex(): number {
    return this.#batches.index
  }

  /** The target runs of the current batch that have not ended. */
  batch(): number[] {
    return this.#batches.numbers().filter(n => !this.hasEnded(n))
  }

  /** Those that were never claimed and never will be. */
  get neverBegun(): number {
    const given = this.status === 'cancelling' || this.halted
    return given ? this.request.targets - this.begun : 0
  }

  /** Nobody holds any of it, and what began has ended or waits for a person. */
  get settled(): boolean {
    return this.claims.size + this.requeued.size + this.delayed.size === 0
  }

  /** Nobody works on it, and without a person nothing of it goes on. */
  get idle(): boolean {
    if (this.anyGoesOn) return false
    for (const [n, hold] of this.held) if (hold === 'target' && !this.isLockedByPeople(n)) return false
    for (const { status } of this.gates.values()) if (status === 'open') return false
    return this.halted || this.#nextFresh() === undefined
  }

  /** The log says that it waits for people, and that is still so. */
  get waitsForPeople(): boolean {
    if (this.anyGoesOn) return false
    return this.attentionTold === attentionOf({ counts: this.counts(), resolved: this.resolved })
  }

  /** The endings so far; what never began and never will counts as cancelled. */
  counts(): Counts {
    const { succeeded, failed, cancelled } = this.endings
    return { succeeded, failed, cancelled: cancelled + this.neverBegun, needsAttention: this.attention.size }
  }

  resolve(from: number, targetIds: readonly string[]): void {
    for (const [i, targetId] of targetIds.entries()) {
      this.targetIds[from + i] = targetId
      this.add(from + i)
    }
  }

  /** The log tells of a run in several events, and they may arrive one after another. */
  get isWhole(): boolean {
    return this.targetIds.length === this.request.targets
  }

  /** Whether one more target run may be claimed now. */
  get available(): boolean {
    if (this.status === 'cancelling' || this.status === 'ended' || this.paused) return false
    if (this.waitsForOlder || this.waitsForTargets || this.waitsForJobGate) return false
    if (this.lacksRight) return false
    if (this.reserved + this.claims.size >= (this.request.maxParallel ?? this.request.targets)) return false
    return this.#peek() !== undefined
  }

  /** Takes the next target run out of the queue; give it back with `release` or confirm it with `claimed`. */
  reserve(): number | undefined {
    const n = this.available ? this.#peek() : undefined
    if (n !== undefined) this.take(n)
    return n
  }

  /** Whether the barrier and the gates before a step are open. */
  mayBegin(stepId: string): boolean {
    if (this.passage.gatesBefore(stepId).some(gate => this.gates.get(gate)?.status !== 'passed')) return false
    return !this.passage.isBarrier(stepId) || this.allCameTo(stepId)
  }

  /** Whether every target that may have begun by now is over with what comes before this step. */
  allCameTo(stepId: string): boolean {
    const outside = this.halted ? [...this.#waitingOutside].filter(n => !this.isStarting(n)) : []
    return this.passage.allBefore(stepId, this.scope, outside)
  }

  /** Nothing of it has begun, and whoever asked for it may not any more, as far as is known. */
  get lacksRight(): boolean {
    return this.status === 'queued' && !this.everClaimed && !this.isPermitted()
  }

  /** Nothing of it begins before that is agreed to. */
  get waitsForJobGate(): boolean {
    return this.request.approval !== undefined && this.gates.get(JOB_GATE)?.status !== 'passed'
  }

  /** What was agreed to for this step and has let nothing begin yet, by its gate. */
  unusedAgreements(stepId: string): Array<{ stepId: string; bound: Bound }> {
    return [JOB_GATE, ...this.passage.gatesBefore(stepId)].flatMap(id => {
      const { status, bound } = this.gates.get(id) ?? {}
      return status === 'passed' && bound ? [{ stepId: id, bound }] : []
    })
  }

  /** These have begun, as was agreed. */
  agreementsUsed(stepIds: readonly string[]): void {
    for (const stepId of ['', ...stepIds])
      for (const agreed of this.unusedAgreements(stepId)) this.gates.set(agreed.stepId, { status: 'passed' })
  }

  /** It is asked for anew. */
  gateVoided(stepId: string): void {
    this.gates.delete(stepId)
    this.#voided.set(stepId, (this.#voided.get(stepId) ?? 0) + 1)
  }

  /** What makes asking anew another thing than asking was. */
  timesVoided(stepId: string): string[] {
    const times = this.#voided.get(stepId)
    return times === undefined ? [] : [`${times}`]
  }

  subRunEnded(stepId: string, subRunId: string, status: string): void {
    this.#subRunEnds.set(subRunId, status)
    const gate = this.gates.get(stepId)
    if (gate?.subRunId === subRunId) gate.subRunEnded = status
  }

  subRunTriggered(stepId: string, subRunId: string): void {
    const subRunEnded = this.#subRunEnds.get(subRunId)
    this.gates.set(stepId, { status: 'open', subRunId, ...(subRunEnded !== undefined && { subRunEnded }) })
  }

  /** False when another target of the group is being worked on. */
  enterGroup(n: number, group: string): boolean {
    if (!this.#groups.mayEnter(n, group)) return false
    // One that has ended meanwhile would never leave it.
    if (!this.hasEnded(n) && !this.attention.has(n)) this.#groups.enter(n, group)
    return true
  }

  override hold(n: number, why: Hold): void {
    super.hold(n, why)
    // Where it waits for the others they must be able to come there too.
    if (this.held.get(n) === why && typeof why === 'object' && 'step' in why) this.#leaveGroup(n)
  }

  /** Found out, and not written down yet: the target leaves these steps out, so nobody waits for them. */
  leavesOut(n: number, stepIds: readonly string[]): void {
    for (const stepId of stepIds) this.passage.passed(n, stepId)
    if (!this.hasBegun(n)) this.#waitingOutside.add(n)
  }

  /**
   * Frees those whose moment has come and those whose barrier, gate or group has opened. One that waits inside a step
   * stays until the log says that it is over.
   */
  wake(now: string): void {
    // What has not begun never will: nobody waits for its turn to end.
    if (this.halted) for (const n of this.#groups.insiders()) if (this.isFresh(n)) this.#leaveGroup(n)
    for (const [n, { until, wait }] of this.delayed) if (wait === undefined && until <= now) this.free(n)
    const open = new Map<string, boolean>()
    for (const [n, hold] of this.held) {
      if (hold === 'target') continue
      if ('group' in hold) {
        if (this.#groups.isEmpty(hold.group)) this.free(n)
        continue
      }
      const may = open.get(hold.step) ?? this.mayBegin(hold.step)
      open.set(hold.step, may)
      if (may) this.free(n)
    }
  }

  /** A step is over on a target; the claim by which that came about too when it was for nothing else. */
  stepOver(n: number, stepId: string, epoch?: number): void {
    this.passage.passed(n, stepId)
    this.unwantedSteps.delete(n)
    const claim = this.claims.get(n)
    if (!claim || claim.epoch !== epoch) return
    claim.started = false
    if (claim.left === undefined) return
    claim.left -= 1
    if (claim.left <= 0) this.free(n)
  }

  override needsAttention(n: number): void {
    if (this.isPast(n)) return
    super.needsAttention(n)
    this.#leaveGroup(n)
  }

  override end(n: number, ending: Ending): void {
    if (this.hasEnded(n)) return
    super.end(n, ending)
    this.unwanted.delete(n)
    this.unwantedSteps.delete(n)
    this.passage.ended(n)
    this.#leaveGroup(n)
    this.#batches.advance(each => this.hasEnded(each))
  }

  protected override onBegin(n: number): void {
    this.#waitingOutside.delete(n)
    this.#batches.began(n)
  }

  #leaveGroup(n: number): void {
    for (const group of this.#groups.leave(n))
      this.unhold(hold => typeof hold === 'object' && 'group' in hold && hold.group === group)
  }

  #peek(): number | undefined {
    // What is to stop is not given out: it is told its end.
    for (const n of this.requeued) if (!this.unwanted.has(n)) return n
    // Too many failures stop it before the log says so.
    return this.halted || this.tooManyFailed ? undefined : this.#nextFresh()
  }

  #nextFresh(): number | undefined {
    return this.nextFresh(this.#batches.end)
  }
}
