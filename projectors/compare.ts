import type { Connection, Pool } from '../infra/postgres.ts'
import type { comparedTables } from './schema.ts'
import { snake } from './table.ts'

export type TableHash = { table: string; rows: number; sha256: string }
export type Difference = { table: string; before: TableHash; after: TableHash }
type ComparedTable = (typeof comparedTables)[number]

/** A hash over all rows of each table in the order of its key, every column as Postgres prints it. */
export async function readHashes(
  connection: Connection | Pool,
  schema: string,
  tables: readonly ComparedTable[],
): Promise<TableHash[]> {
  const hashes: TableHash[] = []
  for (const { name, key } of tables) {
    const { rows } = await connection.query(
      `select count(*)::int as rows,
         encode(sha256(convert_to(coalesce(string_agg(md5(t::text), '' order by ${order(key)}), ''), 'UTF8')), 'hex') as hash
       from ${schema}.${name} t`,
    )
    hashes.push({ table: name, rows: rows[0]?.rows, sha256: rows[0]?.hash })
  }
  return hashes
}

const order = (key: readonly string[]) => key.map(column => `t.${snake(column)}`).join(', ')

export function differences(before: readonly TableHash[], after: readonly TableHash[]): Difference[] {
  return after.flatMap((now, i) => {
    const was = before[i]
    return was && was.sha256 !== now.sha256 ? [{ table: now.table, before: was, after: now }] : []
  })
}
