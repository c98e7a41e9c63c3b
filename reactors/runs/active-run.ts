import type { LogPosition } from '../../schemas/events.ts'

/** Who works on a target run now. `started`: a step was begun, so it is never handed to anyone else on its own. */
export type Claim = { executorId: string; epoch: number; started: boolean }
export type Ending = 'succeeded' | 'failed' | 'cancelled' | 'needs-attention'
/**
 * `fresh` was never claimed and has no stream; `reserved` is being claimed by this process; `requeued` was claimed and
 * is free again.
 */
type TargetState = 'fresh' | 'reserved' | 'claimed' | 'requeued' | Ending
export type Counts = { succeeded: number; failed: number; cancelled: number; needsAttention: number }

export type RunRequest = {
  runId: string
  jobId: string
  jobVersion: number
  credentialId: string | undefined
  maxParallel: number
  targets: number
  correlationId: string
  requestEventId: string
}

/** One run that has not ended, as its events tell it, with what this process is about to claim. */
export class ActiveRun {
  readonly request: RunRequest
  /** The log position just before the run's first event; undefined is the beginning of the log. */
  readonly before: LogPosition | undefined
  readonly targetIds: string[] = []
  readonly claims = new Map<number, Claim>()
  readonly requeued = new Set<number>()
  status: 'queued' | 'running' | 'cancelling' | 'ended' = 'queued'
  readonly #targets: TargetState[] = []
  readonly #epochs: number[] = []
  readonly #endings: Record<Ending, number> = { succeeded: 0, failed: 0, cancelled: 0, 'needs-attention': 0 }
  #fresh = 0
  #everClaimed = false
  #reserved = 0

  constructor(request: RunRequest, before: LogPosition | undefined) {
    this.request = request
    this.before = before
  }

  get runId(): string {
    return this.request.runId
  }

  get everClaimed(): boolean {
    return this.#everClaimed
  }

  get reserved(): number {
    return this.#reserved
  }

  get ended(): number {
    return Object.values(this.#endings).reduce((sum, count) => sum + count, 0)
  }

  /** The endings so far; what never began in a cancelled run counts as cancelled. */
  counts(): Counts {
    const { succeeded, failed, cancelled, 'needs-attention': needsAttention } = this.#endings
    const neverBegun = this.status === 'cancelling' ? this.request.targets - this.ended : 0
    return { succeeded, failed, cancelled: cancelled + neverBegun, needsAttention }
  }

  resolve(from: number, targetIds: readonly string[]): void {
    for (const [i, targetId] of targetIds.entries()) {
      this.targetIds[from + i] = targetId
      this.#targets[from + i] ??= 'fresh'
    }
  }

  /** Whether one more target run may be claimed now. */
  get available(): boolean {
    if (this.status === 'cancelling' || this.status === 'ended') return false
    return this.#reserved + this.claims.size < this.request.maxParallel && this.#peek() !== undefined
  }

  /** Takes the next target run out of the queue; give it back with `release` or confirm it with `claimed`. */
  reserve(): number | undefined {
    const n = this.available ? this.#peek() : undefined
    if (n === undefined) return undefined
    this.requeued.delete(n)
    this.#targets[n] = 'reserved'
    this.#reserved += 1
    return n
  }

  /** Puts a reserved target run back; one that the log has meanwhile told more about stays as it is. */
  release(n: number, as: 'fresh' | 'requeued'): void {
    if (this.#targets[n] === 'reserved') this.#queue(n, as)
  }

  /** The newest claim there ever was on a target run, 0 when there was none. */
  lastEpoch(n: number): number {
    return this.#epochs[n] ?? 0
  }

  /** Heard twice, from the append and from the log, in either order: the second time changes nothing. */
  claimed(n: number, claim: Claim): void {
    if (this.lastEpoch(n) >= claim.epoch) return
    this.#set(n, 'claimed')
    this.#epochs[n] = claim.epoch
    this.claims.set(n, claim)
    this.#everClaimed = true
  }

  started(n: number, epoch: number): void {
    const claim = this.claims.get(n)
    if (claim?.epoch === epoch) claim.started = true
  }

  requeue(n: number, epoch: number): void {
    if (this.claims.get(n)?.epoch === epoch) this.#queue(n, 'requeued')
  }

  end(n: number, ending: Ending): void {
    const state = this.#targets[n]
    if (state !== undefined && state in this.#endings) return
    this.#set(n, ending)
    this.#endings[ending] += 1
  }

  hasEnded(n: number): boolean {
    const state = this.#targets[n]
    return state !== undefined && state in this.#endings
  }

  #peek(): number | undefined {
    for (const n of this.requeued) return n
    while (this.#fresh < this.#targets.length && this.#targets[this.#fresh] !== 'fresh') this.#fresh += 1
    return this.#fresh < this.#targets.length ? this.#fresh : undefined
  }

  #queue(n: number, as: 'fresh' | 'requeued'): void {
    this.#set(n, as)
    if (as === 'requeued') this.requeued.add(n)
    else this.#fresh = Math.min(this.#fresh, n)
  }

  #set(n: number, state: TargetState): void {
    if (this.#targets[n] === 'reserved') this.#reserved -= 1
    this.claims.delete(n)
    this.requeued.delete(n)
    this.#targets[n] = state
  }
}
