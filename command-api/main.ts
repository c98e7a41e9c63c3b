import { createArtifactStore } from '../infra/artifacts.ts'
import { connectBus, subscribeJson } from '../infra/bus.ts'
import { systemClock } from '../infra/clock.ts'
import type { Config, Secret } from '../infra/config.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import {
  type Authenticate,
  createHttpServer,
  type HttpServer,
  listen,
  type OnRefused,
  registerDocs,
} from '../infra/http/index.ts'
import { systemIds } from '../infra/ids.ts'
import type { Check, RunningRole, StopStage } from '../infra/lifecycle.ts'
import type { Log } from '../infra/log.ts'
import { createPool } from '../infra/postgres.ts'
import { createRequestRefusals } from '../infra/request-refusals.ts'
import { createVerdicts } from '../infra/safety/verdicts.ts'
import { keyUsed, subjects } from '../schemas/bus.ts'
import { createAccessFeed } from './access/feed.ts'
import { createRevocations } from './access/revocations.ts'
import { createActiveRuns } from './active-runs.ts'
import { registerCommandApi } from './app.ts'
import { registerArtifactUpload } from './artifacts.ts'
import { noteKeyUses } from './auth/key-uses.ts'
import { openOidc } from './auth/oidc/open.ts'
import { registerOidc } from './auth/oidc/routes.ts'
import { openSignIn } from './auth/open.ts'
import { registerOwn } from './auth/own-routes.ts'
import { registerSignIn } from './auth/routes.ts'
import { createCatalogue } from './dispatch/catalogue.ts'
import { createStateCache } from './dispatch/state-cache.ts'
import { createDispatcher } from './dispatch.ts'
import { createRefusals } from './refusals.ts'
import { appendRefusal, takeRefusals } from './request-refusals.ts'
import { createAccessClock } from './sod/clock.ts'
import { createVaultClient } from './vault-client.ts'

const UPLOAD_CONNECTIONS = 4

/** The write side with its connections, to be put on an HTTP server. */
export type CommandSide = {
  /** Who comes with a key or a token. */
  authenticate: Authenticate
  register(http: HttpServer): void
  ready(): Check[]
  /** Requests that were turned away become events. */
  refused: OnRefused
  close: StopStage
}

/**
 * Connects what commands need. Rejects when the broker does not answer; the event store is waited for per request, and
 * Postgres, which holds uploaded files, per upload.
 */
export async function openCommandSide(config: Config, log: Log): Promise<CommandSide> {
  const postgresUrl = given(config.postgresUrl, 'OPSCONDUCTOR_POSTGRES_URL')
  const store = connectEventStore(given(config.eventStoreUrl, 'OPSCONDUCTOR_EVENTSTORE_URL'))
  const bus = await connectBus({ url: given(config.natsUrl, 'OPSCONDUCTOR_NATS_URL'), name: 'command-api', log })
  const pool = createPool(postgresUrl, log, { max: UPLOAD_CONNECTIONS, name: 'opsconductor command-api' })
  const catalogue = createCatalogue({ store, log })
  const activeRuns = createActiveRuns({ store, log })
  const isLive = (): boolean => access.live && auth.feed.live
  const revocations = createRevocations({ bus, log, isLive })
  const access = createAccessFeed({ store, log, seen: revocations.note })
  const cache = createStateCache()
  const [clock, ids] = [systemClock, systemIds]
  const auth = openSignIn({
    ...{ store, bus, access, clock, log, seen: revocations.note },
    apiKeysFile: config.apiKeysFile,
  })
  const dispatcher = createDispatcher({ store, clock, cache, appended: both(access.note, auth.feed.note) })
  const vault = createVaultClient(bus)
  const verdicts = createVerdicts()
  const refusals = createRefusals({ store, clock, ids, log })
  const turnedAway = createRequestRefusals({ tell: event => appendRefusal({ store, clock }, event), clock, ids, log })
  takeRefusals(bus, { store, clock })
  const artifacts = createArtifactStore(pool, clock, config.artifactQuotaBytes)
  const accessClock = createAccessClock({ dispatcher, access, clock, log })
  const deps = {
    store,
    dispatcher,
    catalogue,
    access,
    activeRuns,
    vault,
    signIn: auth.vault,
    clock,
    ids,
    log,
    refusals,
    verdicts,
  }
  const signingIn = { ...auth, ...openOidc(config), store, access, dispatcher, clock, ids, log }
  const uses = noteKeyUses({ dispatcher, clock, ids, log })
  subscribeJson(bus, subjects.keyUsed, keyUsed, ({ keyId }) => uses.note(keyId))
  return {
    authenticate: auth.authentication(uses.note),
    register: http => registerCommandSide(http, { deps, signingIn, upload: { artifacts, dispatcher, clock, ids } }),
    ready: () => [
      { name: 'event-store', ok: catalogue.live && access.live && auth.feed.live },
      { name: 'broker', ok: bus.status() === 'connected' },
    ],
    refused: turnedAway.record,
    close: {
      name: 'close the command side',
      deadlineMs: 5_000,
      run: async () => {
        revocations.stop()
        await Promise.all([refusals.flush(), turnedAway.flush(), auth.failed.flush(), uses.flush(), accessClock.stop()])
        await Promise.all([
          catalogue.stop(),
          activeRuns.stop(),
          access.stop(),
          auth.feed.stop(),
          bus.close(),
          store.close(),
          pool.end(),
        ])
      },
    },
  }
}

export type CommandSideParts = {
  deps: Parameters<typeof registerCommandApi>[1]
  signingIn: Parameters<typeof registerOidc>[1]
  upload: Parameters<typeof registerArtifactUpload>[1]
}

/** Every route of the write side. */
export function registerCommandSide(http: HttpServer, { deps, signingIn, upload }: CommandSideParts): void {
  registerCommandApi(http, deps)
  registerSignIn(http, signingIn)
  registerOidc(http, signingIn)
  registerOwn(http, signingIn)
  registerArtifactUpload(http, upload)
}

/** The command API alone, as a role of its own. */
export async function start(config: Config, log: Log): Promise<RunningRole> {
  const side = await openCommandSide(config, log)
  const { authenticate } = side
  const http = await createHttpServer({
    log,
    authenticate,
    ready: side.ready,
    refused: side.refused,
    edge: config.edge,
  })
  side.register(http)
  registerDocs(http)
  const url = await listen(http, config).catch(async error => {
    await side.close.run()
    throw error
  })
  return {
    endpoints: { url },
    ready: side.ready,
    stop: [{ name: 'finish requests', deadlineMs: config.stopSeconds * 1000, run: () => http.close() }, side.close],
  }
}

function given(url: Secret | undefined, name: string): string {
  if (!url) throw new Error(`${name} is needed`)
  return url.reveal()
}

const both =
  <T>(one: (given: T) => void, other: (given: T) => void) =>
  (given: T): void => {
    one(given)
    other(given)
  }
