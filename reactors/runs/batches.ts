import type { Amount } from '../../schemas/job.ts'
import { batchEnds } from './strategy.ts'

/** The batches of a run's targets, worked on one after another; without any, there is one of all targets. */
export class Batches {
  readonly #ends: readonly number[]
  /** Begun although their batch has not: somebody wanted them stopped before. */
  readonly #ahead = new Set<number>()
  readonly #targets: number
  #index = 0
  #endedInOrder = 0

  constructor(batches: readonly Amount[] | undefined, targets: number) {
    this.#ends = batchEnds(batches, targets)
    this.#targets = targets
  }

  /** Which batch is being worked on, from 0. */
  get index(): number {
    return this.#index
  }

  /** How many of the first target runs belong to this batch or one before. */
  get end(): number {
    return this.#ends[this.#index] ?? this.#targets
  }

  /** Target runs of this batch and those before, and those that began before their batch. */
  get admitted(): number {
    return this.end + this.#ahead.size
  }

  /** The target runs of this batch. */
  numbers(): number[] {
    const first = this.#ends[this.#index - 1] ?? 0
    return Array.from({ length: (this.#ends[this.#index] ?? first) - first }, (_, i) => first + i)
  }

  began(n: number): void {
    if (n >= this.end) this.#ahead.add(n)
  }

  /** A batch is over when every target run of it has ended. */
  advance(hasEnded: (n: number) => boolean): void {
    while (hasEnded(this.#endedInOrder)) this.#endedInOrder += 1
    while (this.#index < this.#ends.length - 1 && this.#endedInOrder >= this.end) this.#index += 1
    for (const n of this.#ahead) if (n < this.end) this.#ahead.delete(n)
  }
}
