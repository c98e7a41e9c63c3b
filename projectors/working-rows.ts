import type { Read } from './projection.ts'
import type { Recent } from './recent.ts'
import { selectRows, type Table } from './table.ts'

type Entry<Row> = {
  /** Undefined while it is not read, or was never made. */
  row: Row | undefined
  wanted: Partial<Row> | undefined
  changed: boolean
}

/**
 * Rows of one table while a batch changes them: looked up by key, and which of them to write at the end. What earlier
 * batches left in `recent` need not be read again; it is not touched before the batch is committed.
 */
export class WorkingRows<Row extends object> {
  readonly #keyOf: (key: Partial<Row>) => string
  readonly #recent: Recent<Row> | undefined
  readonly #entries = new Map<string, Entry<Row>>()

  constructor(keyOf: (key: Partial<Row>) => string, recent?: Recent<Row>) {
    this.#keyOf = keyOf
    this.#recent = recent
  }

  /** Says that the batch makes this row, whatever there was before. */
  created(key: Partial<Row>): void {
    const text = this.#keyOf(key)
    if (!this.#entries.has(text)) this.#entries.set(text, { row: undefined, wanted: undefined, changed: false })
  }

  /** Asks for a row that the batch goes on from. */
  want(key: Partial<Row>): void {
    const text = this.#keyOf(key)
    if (this.#entries.has(text)) return
    const row = this.#recent?.get(text)
    this.#entries.set(text, { row, wanted: row ? undefined : key, changed: false })
  }

  /** What of it has to be read. */
  wanted(): Array<Partial<Row>> {
    return [...this.#entries.values()].flatMap(({ wanted }) => wanted ?? [])
  }

  loaded(rows: readonly Row[]): void {
    for (const row of rows) {
      const text = this.#keyOf(row)
      // What was written is newer than what was read.
      if (!this.#entries.get(text)?.row) this.#entries.set(text, { row, wanted: undefined, changed: false })
    }
  }

  /** A row that was made, loaded or put; others are not known here. */
  get(key: Partial<Row>): Row | undefined {
    return this.#entries.get(this.#keyOf(key))?.row
  }

  put(row: Row): void {
    const text = this.#keyOf(row)
    const entry = this.#entries.get(text)
    if (entry) {
      entry.row = row
      entry.changed = true
    } else this.#entries.set(text, { row, wanted: undefined, changed: true })
  }

  all(): Row[] {
    return [...this.#entries.values()].flatMap(({ row }) => row ?? [])
  }

  changed(): Row[] {
    return [...this.#entries.values()].flatMap(({ row, changed }) => (changed && row ? row : []))
  }

  /** To be called once the changed rows are committed. */
  keep(): void {
    for (const [text, { row }] of this.#entries) if (row) this.#recent?.set(text, row)
  }
}

/** Reads the rows that were asked for; nothing is sent when all of them are known. */
export async function loadWanted<Row extends object>(
  rows: WorkingRows<Row>,
  table: Table<Row>,
  read: Read,
  by: ReadonlyArray<keyof Row & string> = table.key,
  where?: string,
): Promise<void> {
  const keys = rows.wanted()
  if (keys.length > 0) rows.loaded(await read<Row>(selectRows(table, by, keys, where)))
}
