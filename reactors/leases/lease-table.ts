import type { Claim } from '../runs/target-runs.ts'

/**
 * `instanceSince`: when another process of it was first heard, 0 while it is the first. `upToDateAt`: when it was last
 * heard having had an answer of this session.
 */
type Executor = { instanceId: string; heardAt: number; instanceSince: number; upToDateAt: number }
/** `givenUpAt`: its executor wanted to be rid of it, and could not because a step had been started. */
type Held = { since: number; listedAt: number; givenUpAt?: number }

/** An executor that is not heard of for so long is not remembered either. */
const FORGET_AFTER_LEASES = 100

/**
 * When a claim is over without a word from its executor. All times are milliseconds of a clock that never jumps, and
 * only this process's own: after a restart, a pause or a lost broker every claim has a full lease again.
 */
export class LeaseTable {
  readonly #leaseMs: number
  readonly #executors = new Map<string, Executor>()
  readonly #held = new WeakMap<Claim, Held>()
  #floor = 0
  #sessionAt = Number.POSITIVE_INFINITY

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs
  }

  /** Who has had an answer from now on has had all those before that have not got lost. These claims were there. */
  beginSession(claims: Iterable<Claim>, now: number): void {
    for (const claim of claims) this.#times(claim, now)
    this.#sessionAt = now
  }

  /** `upToDate`: it has had an answer of this session before it said that. */
  heard(executorId: string, instanceId: string, now: number, upToDate = false): void {
    const before = this.#executors.get(executorId)
    const restarted = before !== undefined && before.instanceId !== instanceId
    const instanceSince = restarted ? now : (before?.instanceSince ?? 0)
    const upToDateAt = upToDate ? now : (before?.upToDateAt ?? 0)
    this.#executors.set(executorId, { instanceId, heardAt: now, instanceSince, upToDateAt })
  }

  /** It asks for work, which says nothing of its claims but that it may be another process by now. */
  met(executorId: string, instanceId: string, now: number): void {
    const before = this.#executors.get(executorId)
    if (!before || before.instanceId === instanceId) return
    this.#executors.set(executorId, { ...before, instanceId, instanceSince: now })
  }

  /** The executor named the claim in a heartbeat, or reported for it. */
  listed(claim: Claim, now: number): void {
    this.#times(claim, now).listedAt = now
  }

  /** Its executor knows nothing of a step that was started, and names the claim no longer: nobody will tell more of it. */
  givenUp(claim: Claim, now: number): void {
    this.#times(claim, now).givenUpAt = now
  }

  /** Nobody could have been heard: nobody's silence so far counts. */
  forgive(now: number): void {
    this.#floor = now
  }

  /**
   * A silent executor loses its claims after a lease. One that is heard but does not name a claim never got it, or
   * has forgotten it in a restart: heartbeats come five to a lease, so half a lease is two whole ones and time for what
   * is on its way. A step that was started gets the full lease. A restarted executor has read its spool before it is
   * heard, and nothing is on its way to the process before: from it one more heartbeat is enough.
   */
  isOver(claim: Claim, now: number): boolean {
    const { since, listedAt, givenUpAt } = this.#times(claim, now)
    const executor = this.#executors.get(claim.executorId)
    const lastSign = Math.max(since, listedAt, this.#floor)
    if (now - Math.max(lastSign, executor?.heardAt ?? 0) > this.#leaseMs) return true
    if (!executor) return false
    // What it was not given before the session began it will not get any more.
    const isMissing = since <= this.#sessionAt && listedAt <= this.#sessionAt && executor.upToDateAt > this.#sessionAt
    if (isMissing) return true
    if (givenUpAt !== undefined && executor.heardAt > Math.max(givenUpAt, listedAt)) return true
    const restarted = executor.instanceSince > since
    const patience = restarted ? this.#leaseMs / 5 : claim.started ? this.#leaseMs : this.#leaseMs / 2
    return executor.heardAt - Math.max(lastSign, restarted ? executor.instanceSince : 0) > patience
  }

  /** Forgets executors that have long been gone. */
  prune(now: number): void {
    for (const [executorId, { heardAt }] of this.#executors) {
      if (now - heardAt > this.#leaseMs * FORGET_AFTER_LEASES) this.#executors.delete(executorId)
    }
  }

  #times(claim: Claim, now: number): Held {
    let held = this.#held.get(claim)
    if (!held) {
      held = { since: now, listedAt: now }
      this.#held.set(claim, held)
    }
    return held
  }
}
