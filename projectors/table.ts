import type { Statement } from '../infra/postgres.ts'
import { arrayLiteral, JSON_SEPARATOR, jsonList } from './values.ts'

/** `json` for what is only ever given out again, `jsonb` for what is looked into. */
export type PgType = 'uuid' | 'text' | 'int' | 'bigint' | 'boolean' | 'json' | 'jsonb' | 'timestamptz'
type Column = { property: string; name: string; type: PgType }

/** A table whose columns are the properties of `Row`, in snake case. */
export type Table<Row> = {
  name: string
  key: ReadonlyArray<keyof Row & string>
  columns: readonly Column[]
  /** Gives rows back under the names of the properties. */
  aliased: string
}

export const snake = (name: string): string => name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

export function defineTable<Row>(
  name: string,
  key: ReadonlyArray<keyof Row & string>,
  types: { [K in keyof Row & string]-?: PgType },
): Table<Row> {
  const columns = Object.entries<PgType>(types).map(([property, type]) => ({ property, name: snake(property), type }))
  return { name, key, columns, aliased: columns.map(c => `t.${c.name} as "${c.property}"`).join(', ') }
}

const columnsOf = (table: Table<never>, properties: readonly string[]): Column[] =>
  properties.flatMap(property => table.columns.find(column => column.property === property) ?? [])
const names = (columns: readonly Column[]) => columns.map(column => column.name).join(', ')

/** The key is made with the table, because rows that change are found by it. */
export function createTable(table: Table<never>): string {
  return `${createLedger(table)} ${createKey(table)}`
}

/** A table whose rows are only ever added needs its key when it is read. */
export function createLedger(table: Table<never>): string {
  const key = columnsOf(table, table.key)
  const columns = table.columns.map(column => {
    return `${column.name} ${column.type}${key.includes(column) ? ' not null' : ''}`
  })
  return `create table ${table.name} (${columns.join(', ')});`
}

export function createKey(table: Table<never>): string {
  return `alter table ${table.name} add primary key (${names(columnsOf(table, table.key))});`
}

/**
 * The rows as a select: one parameter per column instead of one per value, so that a batch is one statement of constant
 * text. Several `unnest` in the list of a select run side by side (manual, section 36.5.9) and are not stored in between
 * as those of a `from` are.
 */
function unnested(columns: readonly Column[], rows: readonly object[]): Required<Statement> {
  const lists = columns.map(({ name, type }, i) =>
    type === 'json' || type === 'jsonb'
      ? `unnest(string_to_array($${i + 1}, ${JSON_SEPARATOR}, ''))::${type} as ${name}`
      : `unnest($${i + 1}::${type}[]) as ${name}`,
  )
  const values = columns.map(({ property, type }) => {
    // A row is an object of the properties that its table was defined with.
    const column = rows.map(row => (row as Readonly<Record<string, unknown>>)[property])
    return type === 'json' || type === 'jsonb' ? jsonList(column) : arrayLiteral(type, column)
  })
  return { text: `select ${lists.join(', ')}`, values }
}

export function insertRows<Row extends object>(table: Table<Row>, rows: readonly Row[]): Statement[] {
  if (rows.length === 0) return []
  const { text, values } = unnested(table.columns, rows)
  return [{ text: `insert into ${table.name} (${names(table.columns)}) ${text}`, values }]
}

export function upsertRows<Row extends object>(table: Table<Row>, rows: readonly Row[]): Statement[] {
  const [insert] = insertRows(table, rows)
  if (!insert) return []
  const key = columnsOf(table, table.key)
  const set = table.columns.filter(column => !key.includes(column)).map(({ name }) => `${name} = excluded.${name}`)
  return [{ ...insert, text: `${insert.text} on conflict (${names(key)}) do update set ${set.join(', ')}` }]
}

/** Sets some columns of the rows with these keys. */
export function updateRows<Row extends object>(
  table: Table<Row>,
  properties: ReadonlyArray<keyof Row & string>,
  rows: readonly Row[],
): Statement[] {
  if (rows.length === 0) return []
  const key = columnsOf(table, table.key)
  const changed = columnsOf(table, properties)
  const { text, values } = unnested([...key, ...changed], rows)
  const set = changed.map(({ name }) => `${name} = u.${name}`)
  return [{ text: `update ${table.name} t set ${set.join(', ')} from (${text}) u where ${same(key)}`, values }]
}

/** Rows whose `by` columns equal one of the keys; `where` narrows further. */
export function selectRows<Row extends object, B extends keyof Row & string>(
  table: Table<Row>,
  by: readonly B[],
  keys: ReadonlyArray<Partial<Pick<Row, B>>>,
  where = 'true',
): Statement {
  const columns = columnsOf(table, by)
  const { text, values } = unnested(columns, keys)
  return {
    text: `select ${table.aliased} from ${table.name} t join (${text}) u on ${same(columns)} where ${where}`,
    values,
  }
}

const same = (columns: readonly Column[]) => columns.map(({ name }) => `t.${name} = u.${name}`).join(' and ')
