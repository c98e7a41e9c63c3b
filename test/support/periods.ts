/** From when to when, in milliseconds of the wall clock; `to` is Infinity while it goes on. */
export type Period = { from: number; to: number }

/** When something was so, one period after the other. */
export class Periods {
  readonly all: Period[] = []
  #open: Period | undefined

  /** It is so, or not, from now on. */
  is(so: boolean): void {
    if (so === (this.#open !== undefined)) return
    if (this.#open) this.#open.to = Date.now()
    this.#open = so ? { from: Date.now(), to: Number.POSITIVE_INFINITY } : undefined
    if (this.#open) this.all.push(this.#open)
  }
}
