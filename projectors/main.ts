import { type Bus, connectBus, publishJson } from '../infra/bus.ts'
import type { Config } from '../infra/config.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { SharedLog } from '../infra/event-store/shared-log.ts'
import type { Check, RunningRole } from '../infra/lifecycle.ts'
import type { Log } from '../infra/log.ts'
import { createPool, migrate, type Pool, whileLeading } from '../infra/postgres.ts'
import { subjects } from '../schemas/bus.ts'
import { Applier } from './applier.ts'
import type { Committed } from './apply.ts'
import { auditProjection } from './audit/audit.ts'
import { projectorConnection } from './connection.ts'
import { projectLive } from './live.ts'
import type { Projection } from './projection.ts'
import { rebuildReadModel } from './rebuild.ts'
import { ensureReadModel, LIVE, readModelVersion } from './schema.ts'
import { stateProjection } from './state.ts'

/** Follows the log and keeps the read models; of several replicas one is active per projection. */
export async function start(config: Config, log: Log, shared = new SharedLog()): Promise<RunningRole> {
  const eventStoreUrl = given(config.eventStoreUrl, 'OPSCONDUCTOR_EVENTSTORE_URL')
  const postgresUrl = given(config.postgresUrl, 'OPSCONDUCTOR_POSTGRES_URL')
  const natsUrl = given(config.natsUrl, 'OPSCONDUCTOR_NATS_URL')
  const pool = createPool(postgresUrl, log, { max: 2, name: 'opsconductor projectors' })
  await migrate(pool, log)
  await ensureCurrent(pool, { eventStoreUrl, postgresUrl, log })
  const bus = await connectBus({ url: natsUrl, name: 'projectors', log })
  const store = shared.join(connectEventStore(eventStoreUrl))
  const stop = new AbortController()
  const halted = new Map<string, string>()
  const lead = (projection: Projection) =>
    whileLeading(
      { url: postgresUrl, name: `projection ${projection.name}`, log, signal: stop.signal },
      async signal => {
        halted.delete(projection.name)
        const db = projectorConnection(postgresUrl, log, LIVE)
        const applier = new Applier(projection, db)
        const onCommitted = (committed: Committed) => announce(bus, committed)
        const onHalted = (why: string) => halted.set(projection.name, why)
        await projectLive({ applier, store, log, signal, onCommitted, onHalted }).finally(() => db.close())
      },
    )
  const work = Promise.all([lead(stateProjection), lead(auditProjection)])
  return {
    ready: () => readiness(pool, bus, halted),
    stop: [
      {
        name: 'finish the batch',
        deadlineMs: 5_000,
        run: async () => {
          stop.abort()
          await work
        },
      },
      { name: 'close connections', deadlineMs: 5_000, run: () => close(bus, store, pool) },
    ],
  }
}

function given(url: { reveal(): string } | undefined, name: string): string {
  if (!url) throw new Error(`${name} is needed`)
  return url.reveal()
}

/** Tables that another version of the program made are rebuilt before anything is written to them. */
async function ensureCurrent(
  pool: Pool,
  endpoints: { eventStoreUrl: string; postgresUrl: string; log: Log },
): Promise<void> {
  if ((await ensureReadModel(pool)) === readModelVersion) return
  endpoints.log.info('the read models were made by another version: rebuilding them')
  const { events, seconds } = await rebuildReadModel(endpoints)
  endpoints.log.info({ events, seconds }, 'the read models are rebuilt')
}

/** A hint for whoever waits for a position; the checkpoint is what counts. */
function announce(bus: Bus, { checkpoint: { position }, runIds }: Committed): void {
  if (!position || bus.status() === 'closed') return
  const { commit, prepare } = position
  const about = runIds.length > 0 ? { runIds } : {}
  publishJson(bus, subjects.projected, { commit: commit.toString(), prepare: prepare.toString(), ...about })
}

async function readiness(pool: Pool, bus: Bus, halted: ReadonlyMap<string, string>): Promise<Check[]> {
  const database = await pool.query('select 1').then(
    () => true,
    () => false,
  )
  const projections = [stateProjection, auditProjection].map(({ name }) => {
    const why = halted.get(name)
    return { name: `projection ${name}`, ok: why === undefined, ...(why !== undefined && { detail: why }) }
  })
  return [{ name: 'postgres', ok: database }, { name: 'broker', ok: bus.status() === 'connected' }, ...projections]
}

async function close(bus: Bus, store: { close(): Promise<void> }, pool: Pool): Promise<void> {
  await bus.close()
  await store.close()
  await pool.end()
}
