import { z } from 'zod'
import { ProblemError } from '../infra/http/index.ts'

export const limit = z.coerce.number().int().min(1).max(500).default(50).describe('At most so many items')
export const cursor = z
  .string()
  .max(2000)
  .regex(/^[A-Za-z0-9_-]+$/)
  .optional()
  .describe('`next` of the page before')

/** A page of a list; `next` is the cursor of the page after it, null at the end. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), next: z.string().nullable() })

/**
 * One way to order a list: expressions that together are unique, so that a page begins right after the last row of
 * the one before, whatever was inserted meanwhile. `values` are checked when they come back in a cursor.
 */
export type Sort = {
  name: string
  columns: ReadonlyArray<{ sql: string; type: 'text' | 'uuid' | 'bigint' | 'int'; value: z.ZodType }>
  descending: boolean
}

/** Postgres has no text with a NUL in it. */
export const textValue = z
  .string()
  .max(1000)
  .refine(text => !text.includes('\0'))
export const uuidValue = z.uuid()
/** The id of any resource: a UUID, or a name as executors have. */
export const idValue = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
export const bigintValue = z.string().regex(/^-?\d{1,18}$/)
export const intValue = z.int()

/** Collects conditions and numbers their parameters: values never become part of a statement's text. */
export class Conditions {
  readonly values: unknown[]
  readonly #parts: string[] = []

  constructor(values: unknown[] = []) {
    this.values = values
  }

  /** `?` stands for the value. */
  add(text: string, value?: unknown): void {
    this.#parts.push(value === undefined ? text : text.replaceAll('?', this.parameter(value)))
  }
  parameter(value: unknown): string {
    this.values.push(value)
    return `$${this.values.length}`
  }
  /** Conditions of a part of the same statement, whose parameters are numbered with these. */
  within(): Conditions {
    return new Conditions(this.values)
  }
  get isEmpty(): boolean {
    return this.#parts.length === 0
  }
  get text(): string {
    return this.#parts.length > 0 ? this.#parts.map(part => `(${part})`).join(' and ') : 'true'
  }
}

/** Adds "after the row the cursor names" to the conditions. @throws ProblemError for a cursor of another list. */
export function after(conditions: Conditions, sort: Sort, text: string | undefined): void {
  if (text === undefined) return
  const values = decode(sort, text)
  const left = sort.columns.map(column => column.sql).join(', ')
  const right = sort.columns.map((column, i) => `${conditions.parameter(values[i])}::${column.type}`).join(', ')
  conditions.add(`(${left}) ${sort.descending ? '<' : '>'} (${right})`)
}

export function orderBy({ columns, descending }: Sort): string {
  return `order by ${columns.map(column => `${column.sql}${descending ? ' desc' : ''}`).join(', ')}`
}

/** `rows` hold one more than the limit when there is a next page; `values` are a row's in the order of the sort. */
export function page<Row, Item>(
  rows: readonly Row[],
  size: number,
  options: { sort: Sort; values(row: Row): unknown[]; view(row: Row): Item },
): { items: Item[]; next: string | null } {
  const shown = rows.slice(0, size)
  const last = shown.at(-1)
  const next = rows.length > size && last !== undefined ? encode(options.sort, options.values(last)) : null
  return { items: shown.map(row => options.view(row)), next }
}

function encode(sort: Sort, values: unknown[]): string {
  return Buffer.from(JSON.stringify([sort.name, ...values])).toString('base64url')
}

function decode(sort: Sort, text: string): unknown[] {
  const [name, ...values] = parsed(text)
  const fits = name === sort.name && values.length === sort.columns.length
  if (!fits || !sort.columns.every((column, i) => column.value.safeParse(values[i]).success)) {
    throw new ProblemError('invalid-input', undefined, [{ path: 'cursor', message: 'not a cursor of this list' }])
  }
  return values
}

function parsed(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

/** The sort of this name among those a list offers. */
export function sortNamed(sorts: readonly Sort[], name: string): Sort {
  const found = sorts.find(sort => sort.name === name)
  if (!found) throw new ProblemError('invalid-input', undefined, [{ path: 'sort', message: 'no such order' }])
  return found
}

/** The names of sorts as a query parameter, the first being the default. */
export function sortParameter(sorts: readonly Sort[]) {
  const [first = '', ...rest] = sorts.map(sort => sort.name)
  return z.enum([first, ...rest]).default(first)
}
