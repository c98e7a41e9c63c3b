import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../infra/config.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { createLog } from '../infra/log.ts'
import { createPool, type Pool } from '../infra/postgres.ts'
import type { Progress } from './beside.ts'
import { type RebuildReport, rebuildReadModel } from './rebuild.ts'
import { LIVE, OLD, type ParkedStream, readModelVersion } from './schema.ts'

export type ProjectionStatus = {
  projection: string
  /** Commit position and log time reached; null before the first event. */
  position: string | null
  time: string | null
  events: number
  head: string | null
  /** How far the head is ahead, in positions (one an event on the embedded node, bytes on EventStoreDB). */
  lag: number
  eventsPerSecond: number
  haltedBy: string | null
}
export type Status = {
  projections: ProjectionStatus[]
  parked: ParkedStream[]
  /** False when the tables were made by another version of the program. */
  current: boolean
  /** The read model that was replaced by the last rebuild is still there. */
  oldKept: boolean
}
type Endpoints = Pick<Config, 'eventStoreUrl' | 'postgresUrl'>

export class ProjectionsUnavailable extends Error {
  override name = 'CannotStart'
}

/** Where every projection stands. `sampleMs` is how long the rate is measured. */
export async function status(config: Endpoints, sampleMs = 500): Promise<Status> {
  const { eventStoreUrl, postgresUrl } = reveal(config)
  const pool = createPool(postgresUrl, createLog('projections', 'silent'), { max: 1 })
  const store = connectEventStore(eventStoreUrl)
  try {
    const { rows } = await pool.query(`select to_regclass('${LIVE}.checkpoint') is not null as there`)
    if (!rows[0]?.there) throw new ProjectionsUnavailable('There are no read models yet: no projector ever ran here.')
    const before = await checkpoints(pool)
    await delay(sampleMs)
    const after = await checkpoints(pool)
    const head = (await store.head())?.commit.toString() ?? null
    const projections = after.map(row => {
      const events = row.events - (before.find(b => b.projection === row.projection)?.events ?? row.events)
      const lag = head === null ? 0 : Math.max(0, Number(BigInt(head) - BigInt(row.position ?? '-1')))
      return { ...row, head, lag, eventsPerSecond: Math.round((events * 1000) / sampleMs) }
    })
    return { projections, ...(await extras(pool)) }
  } finally {
    await store.close()
    await pool.end()
  }
}

async function checkpoints(pool: Pool) {
  const { rows } = await pool.query(`
    select projection, case when commit < 0 then null else commit end as position,
      case when commit < 0 then null else time end as time, events, halted_by as "haltedBy"
    from ${LIVE}.checkpoint order by projection desc`)
  return rows.map(row => ({ ...row, events: Number(row.events) })) as Array<
    Pick<ProjectionStatus, 'projection' | 'position' | 'time' | 'events' | 'haltedBy'>
  >
}

async function extras(pool: Pool): Promise<Pick<Status, 'parked' | 'current' | 'oldKept'>> {
  const parked = await pool.query(`
    select projection, stream, revision, commit, prepare, event_id as "eventId", type, error
    from ${LIVE}.parked_stream order by commit, prepare`)
  const { rows } = await pool.query(
    `select version, to_regclass('${OLD}.meta') is not null as "oldKept" from ${LIVE}.meta`,
  )
  return { parked: parked.rows, current: rows[0]?.version === readModelVersion, oldKept: rows[0]?.oldKept === true }
}

/** See rebuildReadModel. */
export async function rebuild(
  config: Endpoints,
  options: { verify?: boolean; dropOld?: boolean; onProgress?: (progress: Progress) => void } = {},
): Promise<RebuildReport> {
  return await rebuildReadModel({ ...reveal(config), log: createLog('projections', 'silent'), ...options })
}

function reveal({ eventStoreUrl, postgresUrl }: Endpoints): { eventStoreUrl: string; postgresUrl: string } {
  if (!eventStoreUrl || !postgresUrl) {
    throw new ProjectionsUnavailable(
      'The system does not run on this data folder. Start it (opsconductor up), or say where its parts are with ' +
        'OPSCONDUCTOR_EVENTSTORE_URL and OPSCONDUCTOR_POSTGRES_URL.',
    )
  }
  return { eventStoreUrl: eventStoreUrl.reveal(), postgresUrl: postgresUrl.reveal() }
}
