/** Choices that follow from a seed: the same seed makes the same choices in the same order. */
export class Random {
  #state: number
  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 to 1, 1 not included (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  between(min: number, max: number): number {
    return min + this.next() * (max - min)
  }

  /** Throws RangeError for nothing to choose from. */
  pick<T>(from: readonly T[]): T {
    const index = Math.floor(this.next() * from.length)
    if (index >= from.length) throw new RangeError('nothing to pick from')
    return from[index] as T // index < length
  }

  /** So many different ones, in no particular order. */
  some<T>(from: readonly T[], count: number): T[] {
    const left = [...from]
    return Array.from({ length: Math.min(count, left.length) }, () => {
      const one = this.pick(left)
      left.splice(left.indexOf(one), 1)
      return one
    })
  }

  /** Another sequence that follows from this one, for what runs at the same time. */
  fork(): Random {
    return new Random(Math.floor(this.next() * 2 ** 32))
  }
}
