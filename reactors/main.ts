import { createArtifactStore } from '../infra/artifacts.ts'
import { type Bus, connectBus } from '../infra/bus.ts'
import { systemClock } from '../infra/clock.ts'
import type { Config, Secret } from '../infra/config.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { SharedLog } from '../infra/event-store/shared-log.ts'
import { systemIds } from '../infra/ids.ts'
import type { RunningRole } from '../infra/lifecycle.ts'
import type { Log } from '../infra/log.ts'
import { advisoryLock, createPool, type Pool } from '../infra/postgres.ts'
import { createCheckpoint } from './checkpoint.ts'
import { Engine } from './engine.ts'
import { recentExecutors, storePresence } from './executor-presence.ts'
import { watchExpiry } from './expiry.ts'
import { artifactLedger, keepPurged, serveArtifacts } from './ingest/artifacts.ts'
import { storeOutput } from './ingest/output-store.ts'
import { onlyOne, type Work } from './only-one.ts'

const NAME = 'reactors'
const SAVE_EVERY_MS = 5_000
const SHOW_EVERY_MS = 1_000

type Parts = { config: Config; log: Log; store: EventStore; bus: Bus; pool: Pool }

/**
 * The process managers: give out work, take in reports and output, start, end and cancel runs, take back what nobody
 * works on. Starts without Postgres; until it is there output is refused, and everything else goes on.
 */
export async function start(config: Config, log: Log, shared = new SharedLog()): Promise<RunningRole> {
  const store = shared.join(connectEventStore(given(config.eventStoreUrl, 'OPSCONDUCTOR_EVENTSTORE_URL')))
  const postgresUrl = given(config.postgresUrl, 'OPSCONDUCTOR_POSTGRES_URL')
  const pool = createPool(postgresUrl, log, { max: 4, name: NAME })
  const bus = await connectBus({ url: given(config.natsUrl, 'OPSCONDUCTOR_NATS_URL'), name: NAME, log })
  const parts = { config, log, store, bus, pool }
  const artifacts = createArtifactStore(pool, systemClock, config.artifactQuotaBytes)
  const ledger = artifactLedger({ store, clock: systemClock, ids: systemIds })
  serveArtifacts(bus, artifacts, ledger)
  const purging = keepPurged({ store: artifacts, ledger, log }, config.artifactDays)
  const stop = new AbortController()
  let engine: Engine | undefined
  const working = onlyOne({
    lock: signal => advisoryLock(postgresUrl, NAME, { signal }),
    start: async () => {
      const begun = await begin(parts)
      engine = begun.engine
      return begun
    },
    log,
    signal: stop.signal,
  })
  return {
    ready: () => [
      { name: 'broker', ok: bus.status() === 'connected' },
      { name: 'log', ok: engine === undefined || engine.live, detail: told(engine) },
    ],
    stop: [
      {
        name: 'hand over',
        deadlineMs: config.stopSeconds * 1000,
        run: () => {
          stop.abort()
          return working
        },
      },
      {
        name: 'close connections',
        deadlineMs: 5_000,
        run: async () => {
          clearInterval(purging)
          await Promise.all([bus.close(), store.close(), pool.end()])
        },
      },
    ],
  }
}

async function begin({ config, log, store, bus, pool }: Parts): Promise<Work & { engine: Engine }> {
  const checkpoint = createCheckpoint(pool, NAME)
  const after = await checkpoint.load().catch(err => {
    log.warn({ err }, 'no checkpoint could be read: reading the log from its beginning')
    return undefined
  })
  const engine = new Engine({
    ...{ store, bus, log, after, clock: systemClock, ids: systemIds },
    ...{ leaseSeconds: config.leaseSeconds, firstExecutors: config.firstExecutors },
    storeOutput: chunks => storeOutput(pool, chunks),
    recentExecutors: () => recentExecutors(pool),
  })
  let saved = after?.commit
  const save = async () => {
    const position = engine.lowWater
    if (!engine.live || position === undefined || position.commit === saved) return
    await checkpoint.save(position)
    saved = position.commit
  }
  const saving = setInterval(() => void save().catch(() => {}), SAVE_EVERY_MS)
  const showing = setInterval(() => void storePresence(pool, engine.takePresence()).catch(() => {}), SHOW_EVERY_MS)
  const expiry = watchExpiry({ store, pool, clock: systemClock, log })
  const running = engine
    .run()
    .catch(err => log.fatal({ err }, 'the log cannot be read on: nothing is given out any more'))
  return {
    engine,
    async stop() {
      clearInterval(saving)
      clearInterval(showing)
      await expiry.stop()
      await save().catch(() => {})
      await engine.stop()
      await running
    },
  }
}

function told(engine: Engine | undefined): string {
  if (!engine) return 'another process is at work, or the lock is being waited for'
  return `${engine.activeRuns} active runs`
}

function given(url: Secret | undefined, name: string): string {
  if (!url) throw new Error(`${name} is needed`)
  return url.reveal()
}
