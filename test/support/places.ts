import { pino } from 'pino'
import type { Test } from 'tap'
import { connectBus } from '../../infra/bus.ts'
import { createPool } from '../../infra/postgres.ts'
import { startBroker } from './broker.ts'

const silent = pino({ level: 'silent' })

/** Everything that crosses the broker, as text. */
export async function overhearing(t: Test) {
  const broker = await startBroker(t)
  const bus = await connectBus({ url: broker.url, name: 'spec', log: silent })
  t.teardown(() => bus.close())
  const heard: string[] = []
  bus.subscribe('>', message => void heard.push(Buffer.from(message.data).toString('latin1')))
  return { url: broker.url, heard }
}

/** Every row of every table. */
export async function rowsOf(url: string): Promise<string> {
  const pool = createPool(url, silent)
  try {
    const { rows } = await pool.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables
       where schemaname not in ('pg_catalog', 'information_schema')`,
    )
    const tables = await Promise.all(rows.map(({ name }) => pool.query(`select t::text as row from ${name} t`)))
    return tables.flatMap(table => table.rows.map(({ row }) => row)).join('\n')
  } finally {
    await pool.end()
  }
}
