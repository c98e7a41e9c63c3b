import type { Statement } from '../infra/postgres.ts'

export type PgType = 'uuid' | 'text' | 'int' | 'bigint' | 'boolean' | 'jsonb' | 'timestamptz'

/** A table whose columns are the properties of `Row`, in snake case. */
export type Table<Row> = {
  name: string
  columns: { [K in keyof Row & string]-?: PgType }
  key: ReadonlyArray<keyof Row & string>
}

export const snake = (name: string): string => name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
const names = (table: Table<never>) => Object.keys(table.columns)
const types = (table: Table<never>) => Object.entries<PgType>(table.columns)
const list = (columns: readonly string[]) => columns.map(snake).join(', ')
/** Column list that gives rows back under the names of the properties. */
const aliased = (table: Table<never>) =>
  names(table)
    .map(column => `t.${snake(column)} as "${column}"`)
    .join(', ')

export function createTable<Row>(table: Table<Row>): string {
  const columns = types(table).map(([name, type]) => `${snake(name)} ${type}`)
  return `create table ${table.name} (${columns.join(', ')}, primary key (${list(table.key)}));`
}

/** One array per column instead of one parameter per value: a batch is one statement of constant text. */
function unnested(table: Table<never>, columns: readonly string[], rows: readonly object[], alias: string): Statement {
  const typed = columns.map((column, i) => `$${i + 1}::${pgType(table, column)}[]`)
  const values = columns.map(column => rows.map(row => toValue(pgType(table, column), Reflect.get(row, column))))
  return { text: `unnest(${typed.join(', ')}) as ${alias}(${list(columns)})`, values }
}

function pgType(table: Table<never>, column: string): PgType {
  const found = types(table).find(([name]) => name === column)
  if (!found) throw new Error(`${table.name} has no column ${column}`)
  return found[1]
}

export function insertRows<Row extends object>(table: Table<Row>, rows: readonly Row[]): Statement[] {
  if (rows.length === 0) return []
  const columns = names(table)
  const { text, values = [] } = unnested(table, columns, rows, 'u')
  return [{ text: `insert into ${table.name} (${list(columns)}) select * from ${text}`, values }]
}

export function upsertRows<Row extends object>(table: Table<Row>, rows: readonly Row[]): Statement[] {
  const [insert] = insertRows(table, rows)
  if (!insert) return []
  const rest = names(table).filter(column => !(table.key as readonly string[]).includes(column))
  const set = rest.map(column => `${snake(column)} = excluded.${snake(column)}`)
  return [{ ...insert, text: `${insert.text} on conflict (${list(table.key)}) do update set ${set.join(', ')}` }]
}

/** Sets some columns of the rows with these keys. */
export function updateRows<Row extends object, C extends keyof Row & string>(
  table: Table<Row>,
  columns: readonly C[],
  rows: ReadonlyArray<Pick<Row, C | keyof Row>>,
): Statement[] {
  if (rows.length === 0) return []
  const { text, values = [] } = unnested(table, [...table.key, ...columns], rows, 'u')
  const set = columns.map(column => `${snake(column)} = u.${snake(column)}`)
  const same = table.key.map(column => `t.${snake(column)} = u.${snake(column)}`)
  return [{ text: `update ${table.name} t set ${set.join(', ')} from ${text} where ${same.join(' and ')}`, values }]
}

/** Rows whose `by` columns equal one of the keys; `where` narrows further. */
export function selectRows<Row extends object, B extends keyof Row & string>(
  table: Table<Row>,
  by: readonly B[],
  keys: ReadonlyArray<Pick<Row, B>>,
  where = 'true',
): Statement {
  const { text, values = [] } = unnested(table, by, keys, 'u')
  const same = by.map(column => `t.${snake(column)} = u.${snake(column)}`)
  return {
    text: `select ${aliased(table)} from ${table.name} t join ${text} on ${same.join(' and ')} where ${where}`,
    values,
  }
}

const suspicious = /\\u(?:0000|d[89a-f])/i

function toValue(type: PgType, value: unknown): unknown {
  if (value === null || value === undefined) return null
  if (type === 'jsonb') return toJsonb(value)
  if (type === 'text') return storable(String(value))
  return value
}

/** Postgres stores neither NUL nor half a surrogate pair; what an executor read may hold both. */
const storable = (text: string): string => text.replaceAll('\0', '\ufffd').replace(/\p{Cs}/gu, '\ufffd')

export function toJsonb(value: unknown): string {
  const text = JSON.stringify(value)
  if (!suspicious.test(text)) return text
  return JSON.stringify(value, (_, inner) => (typeof inner === 'string' ? storable(inner) : inner))
}
