import { type Batch, commit, emptyBatch, type StagedEvent } from './commit.ts'
import { DiskFull, StoreClosed } from './errors.ts'
import type { State } from './state.ts'
import type { StreamRow } from './tables.ts'

type Waiter = { resolve: () => void; reject: (error: unknown) => void }
type Round = { batch: Batch; waiters: Waiter[]; bytes: number }

/**
 * Gathers what is staged while the previous round is on its way to disk and commits it as one transaction. Every
 * outcome, also of a refusal or a repeat, waits for the round it was decided in, because it may rest on events of that
 * round. A full disk fails the rounds that are under way and rolls the state back; any other error is fatal.
 */
export class GroupCommit {
  readonly #state: State
  readonly #onFatal: (error: unknown) => void
  #settled = new Set<() => void>()
  #staged: Round
  #running: Promise<void> | undefined
  #closed = false

  constructor(state: State, onFatal: (error: unknown) => void) {
    this.#state = state
    this.#onFatal = onFatal
    this.#staged = newRound(state)
  }

  /** Bytes staged and not yet taken by a commit: what back-pressure on writers looks at. */
  get stagedBytes(): number {
    return this.#staged.bytes
  }

  stageEvent(event: StagedEvent): void {
    this.#staged.batch.events.push(event)
    this.#staged.batch.end = event.position + event.sealed.length
    this.#staged.bytes += event.sealed.length
  }

  stageRow(name: string, row: StreamRow): void {
    this.#staged.batch.rows.set(name, row)
  }

  /** Resolves with the outcome once everything staged so far is durable. */
  afterDurable<T>(outcome: T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#staged.waiters.push({ resolve: () => resolve(outcome), reject })
      this.#running ??= this.#run()
    })
  }

  /** Calls the listener once, after the next commit, also if that fails; answers how to call it off. */
  onceSettled(listener: () => void): () => void {
    this.#settled.add(listener)
    return () => this.#settled.delete(listener)
  }

  /** Waits for what is staged and accepts nothing more. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  /** Throws StoreClosed once the store is closing. */
  refuseIfClosed(): void {
    if (this.#closed) throw new StoreClosed('the event store is stopping')
  }

  async #run(): Promise<void> {
    await new Promise(resolve => setImmediate(resolve))
    while (this.#staged.waiters.length > 0) {
      const round = this.#staged
      this.#staged = newRound(this.#state)
      await this.#commitRound(round)
    }
    this.#running = undefined
  }

  async #commitRound(round: Round): Promise<void> {
    try {
      if (round.batch.events.length > 0) await commit(this.#state.tables, round.batch)
    } catch (error) {
      if (!(error instanceof DiskFull)) this.#onFatal(error)
      this.#fail(round, error)
      return
    }
    this.#state.durableEnd = round.batch.end
    for (const { head, revision, position } of round.batch.events) this.#state.settlePending(head, revision, position)
    this.#state.trim()
    for (const waiter of round.waiters) waiter.resolve()
    this.#tellSettled()
  }

  #tellSettled(): void {
    const listeners = this.#settled
    this.#settled = new Set()
    for (const listener of listeners) listener()
  }

  // What was staged meanwhile was decided on state that is now gone, so it fails too.
  #fail(round: Round, error: unknown): void {
    const later = this.#staged
    this.#state.rollBack()
    this.#staged = newRound(this.#state)
    for (const waiter of [...round.waiters, ...later.waiters]) waiter.reject(error)
    this.#tellSettled()
  }
}

const newRound = (state: State): Round => ({ batch: emptyBatch(state.end), waiters: [], bytes: 0 })
