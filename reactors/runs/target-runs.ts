/** Who works on a target run now. `started`: a step was begun, so it is never handed to anyone else on its own. */
export type Claim = { executorId: string; epoch: number; started: boolean; left?: number | undefined }
export type Ending = 'succeeded' | 'failed' | 'cancelled'
/**
 * `fresh` was never claimed and has no stream; `requeued` was, and is free again. `reserved` is being claimed by this
 * process. `held` waits for something of the run or of other runs, `delayed` for a moment.
 */
type State = 'fresh' | 'requeued' | 'reserved' | 'claimed' | 'held' | 'delayed' | 'needs-attention' | Ending
/** What a held target run waits for. */
export type Hold = 'target' | { group: string } | { step: string }
export type Delay = { until: string; wait?: string | undefined }

const endings: ReadonlySet<string> = new Set<Ending>(['succeeded', 'failed', 'cancelled'])

/** Where each target run of a run is. Each is in one state at a time, and in the collection for it. */
export class TargetRuns {
  readonly claims = new Map<number, Claim>()
  readonly requeued = new Set<number>()
  readonly held = new Map<number, Hold>()
  readonly delayed = new Map<number, Delay>()
  readonly attention = new Set<number>()
  /** When each target run that has begun did so; the one that was worked on last comes last. */
  readonly begunAt = new Map<number, string>()
  readonly #states: State[] = []
  readonly #epochs: number[] = []
  readonly #ended: Record<Ending, number> = { succeeded: 0, failed: 0, cancelled: 0 }
  /** What they did is being undone. */
  readonly #failing = new Set<number>()
  /** Reserved ones that have not begun. */
  readonly #starting = new Set<number>()
  /** Reserved ones about which something is being written that needs no executor. */
  readonly #settling = new Set<number>()
  /** Reserved ones the log has told more about since, so that what was found out before may be wrong. */
  readonly #outdated = new Set<number>()
  /** How often each was reserved. */
  readonly #turns: number[] = []
  /** Claimed by this process, and the log has not come to that yet. */
  readonly #ahead = new Set<number>()
  #fresh = 0
  #begun = 0
  #reserved = 0

  get reserved(): number {
    return this.#reserved
  }

  /** How many have a stream of their own. */
  get begun(): number {
    return this.#begun
  }

  /** How many are being claimed for the first time. */
  get starting(): number {
    return this.#starting.size
  }

  get ended(): number {
    return this.#ended.succeeded + this.#ended.failed + this.#ended.cancelled
  }

  get endings(): Readonly<Record<Ending, number>> {
    return this.#ended
  }

  /** How many have not succeeded and never will. */
  get lost(): number {
    return this.#ended.failed + this.#ended.cancelled + this.#failing.size
  }

  /** Some are being worked on or claimed, or can be, or will be at some moment. */
  get anyGoesOn(): boolean {
    return this.claims.size + this.#reserved + this.requeued.size + this.delayed.size > 0
  }

  isFresh(n: number): boolean {
    return this.#states[n] === 'fresh'
  }

  /** It is being claimed for the first time. */
  isStarting(n: number): boolean {
    return this.#starting.has(n)
  }

  hasEnded(n: number): boolean {
    return endings.has(this.#states[n] ?? '')
  }

  /** It has a stream of its own. */
  hasBegun(n: number): boolean {
    return this.begunAt.has(n) || this.hasEnded(n)
  }

  /** The newest claim there ever was on a target run, 0 when there was none. */
  lastEpoch(n: number): number {
    return this.#epochs[n] ?? 0
  }

  /** The first of those before `end` that was never claimed. */
  nextFresh(end: number): number | undefined {
    const last = Math.min(this.#states.length, end)
    while (this.#fresh < last && this.#states[this.#fresh] !== 'fresh') this.#fresh += 1
    return this.#fresh < last ? this.#fresh : undefined
  }

  add(n: number): void {
    this.#states[n] ??= 'fresh'
  }

  /** Which of its reservations the newest one is: those before have nothing to say any more. */
  turn(n: number): number {
    return this.#turns[n] ?? 0
  }

  /** It is about to be claimed: give it back with `release` or confirm it with `claimed`. */
  take(n: number): void {
    this.#set(n, 'reserved')
    this.#reserved += 1
    this.#turns[n] = this.turn(n) + 1
    if (!this.hasBegun(n)) this.#starting.add(n)
  }

  /** Puts a reserved target run back; one that the log has meanwhile told more about stays as it is. */
  release(n: number): void {
    if (this.#states[n] === 'reserved') this.free(n)
  }

  /**
   * A reserved target run that cannot go on now waits until `unhold`. One that the log has told more about since is
   * free instead: what it seemed to wait for may never come.
   */
  hold(n: number, why: Hold): void {
    if (this.#states[n] !== 'reserved') return
    if (this.#outdated.has(n)) {
      this.free(n)
      return
    }
    this.#set(n, 'held')
    this.held.set(n, why)
  }

  unhold(matches: (hold: Hold, n: number) => boolean): void {
    for (const [n, hold] of this.held) if (matches(hold, n)) this.free(n)
  }

  /** What comes of a reserved target run is being written, and no claim: what the log tells next is that. */
  settles(n: number): void {
    if (this.#states[n] === 'reserved') this.#settling.add(n)
  }

  delay(n: number, delay: Delay): void {
    if (this.isPast(n)) return
    this.#begin(n)
    if (delay.wait !== undefined) this.#workedOnLast(n)
    this.#set(n, 'delayed')
    this.delayed.set(n, delay)
  }

  /** Whether what the log tells of it changes nothing: it has ended, or a claim is known that comes after that. */
  isPast(n: number): boolean {
    return this.hasEnded(n) || this.#ahead.has(n)
  }

  /** This process has claimed it, which the log tells later, or has told already. */
  claimedHere(n: number, claim: Claim): void {
    if (this.lastEpoch(n) >= claim.epoch) return
    this.claimed(n, claim)
    this.#ahead.add(n)
  }

  /** Heard twice, from the append and from the log, in either order: the second time changes nothing. */
  claimed(n: number, claim: Claim): void {
    if (this.lastEpoch(n) === claim.epoch) this.#ahead.delete(n)
    if (this.lastEpoch(n) >= claim.epoch) return
    this.#begin(n)
    this.#workedOnLast(n)
    this.#set(n, 'claimed')
    this.#epochs[n] = claim.epoch
    this.claims.set(n, claim)
  }

  started(n: number, epoch: number): void {
    const claim = this.claims.get(n)
    if (claim?.epoch === epoch) claim.started = true
  }

  requeue(n: number, epoch: number): void {
    if (this.claims.get(n)?.epoch === epoch) this.free(n)
  }

  /**
   * Whoever held it or whatever it waited for: it is free. While it is being claimed that is no news: the events of one
   * append are told one by one, and it may have been taken when only the first of them was.
   */
  freed(n: number): void {
    if (this.isPast(n)) return
    this.#begin(n)
    if (this.#states[n] !== 'reserved' || this.#settling.has(n)) this.free(n)
    else this.#outdated.add(n)
  }

  /** It has failed; what follows is still to be done. */
  fails(n: number): void {
    if (this.hasEnded(n)) return
    this.freed(n)
    this.#failing.add(n)
  }

  needsAttention(n: number): void {
    if (this.isPast(n)) return
    this.#begin(n)
    this.#set(n, 'needs-attention')
    this.attention.add(n)
  }

  end(n: number, ending: Ending): void {
    if (this.hasEnded(n)) return
    this.#begin(n)
    this.#set(n, ending)
    this.#ended[ending] += 1
    this.#failing.delete(n)
    this.begunAt.delete(n)
  }

  /** When the target run began, as told by the log. */
  noteBegin(n: number, at: string): void {
    if (this.begunAt.get(n) === '') this.begunAt.set(n, at)
  }

  protected free(n: number): void {
    const begun = this.hasBegun(n)
    this.#set(n, begun ? 'requeued' : 'fresh')
    if (begun) this.requeued.add(n)
    else this.#fresh = Math.min(this.#fresh, n)
  }

  /** For what has to be known of a target run that gets a stream of its own. */
  protected onBegin(_n: number): void {}

  #begin(n: number): void {
    if (this.hasBegun(n)) return
    this.begunAt.set(n, '')
    this.#begun += 1
    this.#starting.delete(n)
    this.onBegin(n)
  }

  #workedOnLast(n: number): void {
    const at = this.begunAt.get(n)
    if (at === undefined) return
    this.begunAt.delete(n)
    this.begunAt.set(n, at)
  }

  #set(n: number, state: State): void {
    if (this.#states[n] === 'reserved') this.#reserved -= 1
    this.#starting.delete(n)
    this.#settling.delete(n)
    this.#outdated.delete(n)
    this.#ahead.delete(n)
    this.claims.delete(n)
    this.requeued.delete(n)
    this.held.delete(n)
    this.delayed.delete(n)
    this.attention.delete(n)
    this.#states[n] = state
  }
}
