/** Rows of one table while a batch changes them: looked up by key, and which of them to write at the end. */
export class WorkingRows<Row extends object> {
  readonly #key: ReadonlyArray<keyof Row>
  readonly #rows = new Map<string, Row>()
  readonly #changed = new Set<string>()

  constructor(key: ReadonlyArray<keyof Row>) {
    this.#key = key
  }

  loaded(rows: readonly Row[]): void {
    for (const row of rows) this.#rows.set(this.#keyOf(row), row)
  }

  get(key: Partial<Row>): Row | undefined {
    return this.#rows.get(this.#keyOf(key))
  }

  put(row: Row): void {
    const key = this.#keyOf(row)
    this.#rows.set(key, row)
    this.#changed.add(key)
  }

  all(): Row[] {
    return [...this.#rows.values()]
  }

  changed(): Row[] {
    return [...this.#changed].flatMap(key => this.#rows.get(key) ?? [])
  }

  #keyOf(row: Partial<Row>): string {
    return this.#key.map(part => row[part]).join(' ')
  }
}
