import type { Read } from './projection.ts'
import type { Recent } from './recent.ts'
import { selectRows, type Table } from './table.ts'

/**
 * Rows of one table while a batch changes them: looked up by key, and which of them to write at the end. What earlier
 * batches left in `recent` need not be read again; it is not touched before the batch is committed.
 */
export class WorkingRows<Row extends object> {
  readonly #key: ReadonlyArray<keyof Row>
  readonly #recent: Recent<Row> | undefined
  readonly #rows = new Map<string, Row>()
  readonly #changed = new Map<string, Row>()
  readonly #wanted = new Map<string, Partial<Row>>()
  readonly #created = new Set<string>()

  constructor(key: ReadonlyArray<keyof Row>, recent?: Recent<Row>) {
    this.#key = key
    this.#recent = recent
  }

  /** Says that the batch makes this row, whatever there was before. */
  created(key: Partial<Row>): void {
    this.#created.add(this.#keyOf(key))
  }

  /** Asks for a row that the batch goes on from. */
  want(key: Partial<Row>): void {
    const text = this.#keyOf(key)
    if (!this.#created.has(text) && this.#get(text) === undefined) this.#wanted.set(text, key)
  }

  /** What of it has to be read. */
  wanted(): Array<Partial<Row>> {
    return [...this.#wanted.values()]
  }

  loaded(rows: readonly Row[]): void {
    for (const row of rows) {
      const key = this.#keyOf(row)
      // What was written is newer than what was read.
      if (!this.#rows.has(key)) this.#rows.set(key, row)
    }
  }

  get(key: Partial<Row>): Row | undefined {
    return this.#get(this.#keyOf(key))
  }

  #get(text: string): Row | undefined {
    const own = this.#rows.get(text)
    if (own !== undefined) return own
    const known = this.#recent?.get(text)
    // Kept here as well: it may be forgotten there before the batch is through.
    if (known !== undefined) this.#rows.set(text, known)
    return known
  }

  put(row: Row): void {
    const key = this.#keyOf(row)
    this.#rows.set(key, row)
    this.#changed.set(key, row)
  }

  all(): IterableIterator<Row> {
    return this.#rows.values()
  }

  changed(): Row[] {
    return [...this.#changed.values()]
  }

  /** To be called once the changed rows are committed. */
  keep(): void {
    for (const [key, row] of this.#rows) this.#recent?.set(key, row)
  }

  #keyOf(row: Partial<Row>): string {
    let key = ''
    for (const part of this.#key) key += `${row[part]} `
    return key
  }
}

/** Reads the rows that were asked for; nothing is sent when all of them are known. */
export async function loadWanted<Row extends object>(
  rows: WorkingRows<Row>,
  table: Table<Row>,
  read: Read,
  where?: string,
): Promise<void> {
  const keys = rows.wanted()
  if (keys.length > 0) rows.loaded(await read<Row>(selectRows(table, table.key, keys, where)))
}
