import { connectBus, subscribeJson } from '../infra/bus.ts'
import { systemClock } from '../infra/clock.ts'
import type { Config, Secret } from '../infra/config.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { systemIds } from '../infra/ids.ts'
import type { RunningRole } from '../infra/lifecycle.ts'
import type { Log } from '../infra/log.ts'
import { createPool, migrate, type Pool } from '../infra/postgres.ts'
import { releaseRequest, sealRequest, subjects } from '../schemas/bus.ts'
import { credentialReader } from './credential-status.ts'
import { denialLimit } from './denial-limit.ts'
import { executorReader } from './executor-status.ts'
import { readExternal } from './external.ts'
import { registering } from './kek/registering.ts'
import type { KekProvider } from './kek.ts'
import { migrations } from './migrations.ts'
import { openKek } from './open-kek.ts'
import { hasSecrets, loadOwnKeys, type OwnKeys } from './own-keys.ts'
import { release } from './release.ts'
import { kekHistory } from './rotation/history.ts'
import { keepRotated } from './rotation/keeper.ts'
import { type Refusal, type SealDeps, seal } from './seal.ts'
import { secretStore } from './secret-store.ts'
import { serveSignIn } from './sign-in/serve.ts'

const QUEUE = 'vault'
/** Enough to overlap the waits for log and database; what waits longer than this many is told to come back. */
const CONCURRENCY = 32
const MAX_WAITING = 2_000
const ANSWER_MS = 5_000

/**
 * The only process that holds key-encryption keys. Serves three subjects: its public key, sealing, releasing.
 * Rejects when the keys it finds are not those its secrets were sealed with.
 */
export async function start(config: Config, log: Log): Promise<RunningRole> {
  refuseDebugger()
  const pool = createPool(given(config.postgresUrl, 'OPSCONDUCTOR_POSTGRES_URL'), log, { max: 8, name: 'vault' })
  const { keks, own } = await unlock(config, pool, log).catch(async err => {
    await pool.end()
    throw err
  })
  const store = connectEventStore(given(config.eventStoreUrl, 'OPSCONDUCTOR_EVENTSTORE_URL'))
  const bus = await connectBus({ url: given(config.natsUrl, 'OPSCONDUCTOR_NATS_URL'), name: 'vault', log })

  const secrets = secretStore(pool)
  const sealing: SealDeps = { keks, own, secrets, clock: systemClock, ids: systemIds }
  const releasing = {
    ...{ store, secrets, keks, log, clock: systemClock, external: readExternal(config) },
    credential: credentialReader(store, systemClock.monotonic),
    executor: executorReader(store, systemClock.monotonic),
    denials: denialLimit(systemClock.monotonic),
  }
  const history = kekHistory(store, systemClock)
  const rotation = keepRotated({ pool, keks, history, log, provider: config.kek.provider })
  const answered = answering(log)
  const options = { queue: QUEUE, concurrency: CONCURRENCY, maxWaiting: MAX_WAITING }
  const publicKey = JSON.stringify({ keyId: own.keyId, publicKey: own.pair.publicKey })
  bus.subscribe(subjects.vaultPublicKey, message => message.reply(publicKey), options)
  subscribeJson(bus, subjects.vaultSeal, sealRequest, request => answered(() => seal(sealing, request)), options)
  subscribeJson(
    bus,
    subjects.vaultRelease,
    releaseRequest,
    request => answered(() => release(releasing, request)),
    options,
  )
  const signingIn = await serveSignIn({ bus, pool, keks, own, clock: systemClock, ids: systemIds, log })
  await bus.flush()

  return {
    ready: async () => [
      { name: 'broker', ok: bus.status() === 'connected' },
      { name: 'postgres', ok: (await pool.query('select 1')).rowCount === 1 },
      await keks.health(),
    ],
    stop: [
      { name: 'answer what was asked', deadlineMs: ANSWER_MS + 1_000, run: () => bus.close() },
      { name: 'finish a batch of keys', deadlineMs: 5_000, run: () => rotation.stop() },
      {
        name: 'close connections',
        deadlineMs: 5_000,
        run: async () => void (await Promise.all([store.close(), pool.end(), signingIn.stop()])),
      },
    ],
  }
}

/** Node starts its debugger on SIGUSR1, and a debugger reads memory; a listener of our own takes that away. */
function refuseDebugger(): void {
  if (process.listenerCount('SIGUSR1') === 0) process.on('SIGUSR1', () => undefined)
}

async function unlock(config: Config, pool: Pool, log: Log): Promise<{ keks: KekProvider; own: OwnKeys }> {
  await migrate(pool, log, migrations)
  const now = systemClock.now()
  const keks = await openKek(config, { secretsExist: await hasSecrets(pool), now }, log)
  const own = await loadOwnKeys(pool, keks, now)
  return { keks: registering(keks, pool, systemClock), own }
}

/** Answers within the time a requester waits; what failed inside is logged here and not told. */
function answering(log: Log) {
  const unavailable: Refusal = { error: 'unavailable', detail: 'the vault cannot answer now: try again' }
  return async <T>(work: () => Promise<T>): Promise<T | Refusal> => {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS)
    })
    try {
      return await Promise.race([work(), late])
    } catch (err) {
      log.error({ err }, 'the vault could not answer')
      return unavailable
    } finally {
      clearTimeout(timer)
    }
  }
}

function given(setting: Secret | undefined, name: string): string {
  if (!setting) throw new Error(`${name} is needed by the vault`)
  return setting.reveal()
}
