/**
 * The rows a projection had to do with lately, by key. Bounded: of those used longest ago only some are kept, so that
 * it stays the same size however long the log is.
 */
export class Recent<Row> {
  readonly #limit: number
  #young = new Map<string, Row>()
  #old = new Map<string, Row>()

  /** Holds up to twice the limit. */
  constructor(limit = 2_000) {
    this.#limit = limit
  }

  get(key: string): Row | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: string, row: Row): void {
    if (this.#young.size >= this.#limit) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, row)
  }
}
