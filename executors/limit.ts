/** Lets at most `most` at a time through; the others wait in the order they came. */
export class Limit {
  #free: number
  readonly #waiting: Array<() => void> = []

  constructor(most: number) {
    this.#free = most
  }

  async run<T>(act: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      return await act()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free += 1
    }
  }
}
