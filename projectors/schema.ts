import { sha256Hex } from '../infra/ids.ts'
import { type Connection, inTransaction, type Pool } from '../infra/postgres.ts'
import { audit, auditIndexes, auditSubject } from './audit/tables.ts'
import type { Projection } from './projection.ts'
import { jobVersion, resourceColumns, resourceIndexes, resourceVersion } from './resources/tables.ts'
import { run, runEvent, runGate, runIndexes, runRequest, stepRun, targetRun } from './runs/tables.ts'
import { createKey, createLedger, createTable, defineTable, type Table } from './table.ts'

/** The schema that is read, the one being built beside it, and the one before, kept until it is dropped. */
export const LIVE = 'read_model'
export const NEXT = 'read_model_next'
export const OLD = 'read_model_old'

/** To be raised when rows come out differently although the tables stay the same. */
const PROJECTION_VERSION = 2

/** A stream that has an event its projection cannot apply; what comes after it in that stream waits for a rebuild. */
export type ParkedStream = {
  projection: string
  stream: string
  revision: string
  commit: string
  prepare: string
  eventId: string
  type: string
  error: string
}
export const parkedStream = defineTable<ParkedStream>('parked_stream', ['projection', 'stream'], {
  projection: 'text',
  stream: 'text',
  revision: 'bigint',
  commit: 'bigint',
  prepare: 'bigint',
  eventId: 'uuid',
  type: 'text',
  error: 'text',
})

type AnyTable = Pick<Table<never>, 'name' | 'key'>
/** Everything that must come out the same of the same log. */
export const comparedTables: readonly AnyTable[] = [
  resourceVersion,
  jobVersion,
  run,
  runRequest,
  runGate,
  targetRun,
  stepRun,
  runEvent,
  audit,
  auditSubject,
  parkedStream,
]

/** SQLSTATE raised when somebody else has moved the checkpoint. */
export const FENCED = 'OC409'

const ddl = [
  createTable(resourceVersion),
  createTable(jobVersion),
  resourceColumns,
  createTable(run),
  createTable(runRequest),
  createTable(runGate),
  createTable(targetRun),
  createTable(stepRun),
  createLedger(runEvent),
  createLedger(audit),
  createTable(auditSubject),
  createTable(parkedStream),
  `create table checkpoint (
    projection text primary key,
    commit bigint not null, prepare bigint not null, time timestamptz not null, events bigint not null,
    halted_by text, replaced boolean not null default false);`,
  `insert into checkpoint (projection, commit, prepare, time, events)
    select projection, -1, -1, '-infinity', 0 from unnest(array['state', 'audit']) projection;`,
  `create function move_checkpoint(who text, from_commit bigint, from_prepare bigint,
      to_commit bigint, to_prepare bigint, to_time timestamptz, more bigint) returns void language plpgsql as $$
    begin
      update checkpoint set commit = to_commit, prepare = to_prepare, time = to_time, events = events + more
        where projection = who and commit = from_commit and prepare = from_prepare and not replaced;
      if not found then
        raise exception 'the checkpoint of % was moved by somebody else', who using errcode = '${FENCED}';
      end if;
    end $$;`,
].join('\n')

/** What only readers need: made at the end of a rebuild, because one sort is faster than many insertions. */
const indexes: Readonly<Record<Projection['name'], string>> = {
  state: [createKey(runEvent), resourceIndexes, runIndexes].join('\n'),
  audit: [createKey(audit), auditIndexes].join('\n'),
}

/** Tells whether the tables in the database were made by this version of the projections. */
export const readModelVersion = sha256Hex(`${PROJECTION_VERSION} ${ddl} ${indexes.state} ${indexes.audit}`)

/** Makes an empty read model without the indexes for readers; what was in a schema of that name is gone. */
export async function createReadModel(connection: Connection, schema: string): Promise<void> {
  await connection.query(`drop schema if exists ${schema} cascade`)
  await connection.query(`create schema ${schema}`)
  await connection.query(`set local search_path = ${schema}`)
  await connection.query(ddl)
  await connection.query(`create table meta as select '${readModelVersion}' as version`)
  await connection.query('set local search_path = default')
}

/** The tables a projection writes. Streams are parked by the state projection only. */
export function tablesOf(projection: Projection['name']): readonly AnyTable[] {
  const ledger: readonly AnyTable[] = [audit, auditSubject]
  return comparedTables.filter(table => ledger.includes(table) === (projection === 'audit'))
}

/** Makes the indexes for readers of a projection's tables, and tells the planner what is in them. */
export async function finishReadModel(
  connection: Connection,
  schema: string,
  projection: Projection['name'],
): Promise<void> {
  await connection.query(`set local statement_timeout = 0; set local maintenance_work_mem = '128MB'`)
  await connection.query(`set local search_path = ${schema}`)
  await connection.query(indexes[projection])
  for (const { name } of tablesOf(projection)) await connection.query(`analyze ${name}`)
  await connection.query('set local search_path = default')
}

/** Makes the live read model when there is none. Answers the version of the one that is there. */
export async function ensureReadModel(pool: Pool): Promise<string> {
  return await inTransaction(pool, async connection => {
    await connection.query(`select pg_advisory_xact_lock(hashtextextended('opsconductor read model', 0))`)
    const { rows } = await connection.query('select to_regclass($1) is not null as there', [`${LIVE}.meta`])
    if (!rows[0]?.there) {
      await createReadModel(connection, LIVE)
      await finishReadModel(connection, LIVE, 'state')
      await finishReadModel(connection, LIVE, 'audit')
    }
    const meta = await connection.query(`select version from ${LIVE}.meta`)
    return String(meta.rows[0]?.version)
  })
}

/** Puts the model built beside in the place of the live one, which becomes the old one. */
export async function switchReadModel(connection: Connection): Promise<void> {
  await connection.query(`drop schema if exists ${OLD} cascade`)
  await connection.query(`alter schema ${LIVE} rename to ${OLD}`)
  await connection.query(`alter schema ${NEXT} rename to ${LIVE}`)
}
