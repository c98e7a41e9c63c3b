import { type AccessState, accessKinds, createAccessState, putVersion } from '../../infra/access.ts'
import type { Log } from '../../infra/log.ts'
import { validAt } from '../as-of.ts'
import { Conditions } from '../paging.ts'
import type { Query, Reader } from '../reader.ts'

/** Who may do what, in step with the read models. */
export interface AccessView {
  readonly state: AccessState
  /** True once the read models were read. */
  readonly live: boolean
  stop(): Promise<void>
}

const LOOK_MS = 250
/** However often the read models move on. */
const PAUSE_MS = 25

type VersionRow = {
  kind: (typeof accessKinds)[number]
  id: string
  revision: string
  valid_from: string
  state: object
}

type Options = {
  reader: Reader
  log: Log
  /** Takes away what has ended since. */
  less?: (state: AccessState) => AccessState
}

/** Looks again whenever the projections have moved on, and several times a second: a hint may be lost. */
export function createAccessView({ reader, log, less = state => state }: Options): AccessView {
  const stopped = new AbortController()
  let state = createAccessState()
  let known: bigint | undefined
  const query: Query = (text, values) => reader.query(text, values)
  const look = async () => {
    const newest = await newestChange(query)
    if (known !== undefined && newest === known) return
    // Another history than the one that was read: nothing of it counts any more.
    const isOther = known !== undefined && newest < known
    const rows = await currentRows(query, isOther || known === undefined ? -1n : known)
    const next = isOther ? createAccessState() : state
    for (const row of rows) put(next, row)
    state = next
    known = rows.reduce((most, row) => (BigInt(row.valid_from) > most ? BigInt(row.valid_from) : most), newest)
  }
  const running = (async () => {
    while (!stopped.signal.aborted) {
      const hint = reader.hint(LOOK_MS)
      await look().catch(err => log.debug({ err }, 'who may do what cannot be read: what was known goes on'))
      await hint
      await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
    }
  })()
  return {
    get state() {
      return less(state)
    },
    get live() {
      return known !== undefined
    },
    async stop() {
      stopped.abort()
      await running
    },
  }
}

const put = (state: AccessState, { kind, id, revision, state: row }: VersionRow) =>
  putVersion(state, kind, { id, revision: BigInt(revision), state: row })

/** One look into an index for each kind. */
async function newestChange(query: Query): Promise<bigint> {
  const [row] = await query<{ newest: string | null }>(
    `select max(newest) as newest from unnest($1::text[]) kind
     cross join lateral (select max(valid_from) as newest from read_model.resource_version v where v.kind = kind.kind) each`,
    [accessKinds],
  )
  return BigInt(row?.newest ?? -1)
}

async function currentRows(query: Query, after: bigint): Promise<VersionRow[]> {
  return await query<VersionRow>(
    `select kind, id, revision, valid_from, state from read_model.resource_version
     where kind = any($1) and valid_to is null and valid_from > $2`,
    [accessKinds, after],
  )
}

/** Who could do what at that moment. */
export async function accessStateAt(query: Query, when: string): Promise<AccessState> {
  const conditions = new Conditions()
  conditions.add('kind = any(?)', accessKinds)
  validAt(conditions, when)
  const rows = await query<VersionRow>(
    `select kind, id, revision, valid_from, state from read_model.resource_version where ${conditions.text}`,
    conditions.values,
  )
  const state = createAccessState()
  for (const row of rows) put(state, row)
  return state
}

/** Milliseconds since 1970 of an `asOf`; that of a position is when the newest event up to it was recorded. */
export async function timeOf(query: Query, when: string): Promise<number> {
  if (!when.startsWith('@')) return Date.parse(when)
  const commit = /^@(\d+)/.exec(when)?.[1]
  const [row] = await query<{ time: string }>(
    'select time from read_model.audit where commit <= $1 order by commit desc limit 1',
    [commit],
  )
  return row ? Date.parse(row.time) : 0
}
