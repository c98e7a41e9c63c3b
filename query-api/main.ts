import { createAuthentication, createTokenCheck } from '../infra/access.ts'
import { apiKeyCheck } from '../infra/api-keys.ts'
import { createArtifactStore } from '../infra/artifacts.ts'
import { connectBus, publishJson } from '../infra/bus.ts'
import { systemClock } from '../infra/clock.ts'
import type { Config, Secret } from '../infra/config.ts'
import {
  type Authenticate,
  administratorKeys,
  createHttpServer,
  type HttpServer,
  listen,
  type OnRefused,
} from '../infra/http/index.ts'
import type { Check, RunningRole, StopStage } from '../infra/lifecycle.ts'
import type { Log } from '../infra/log.ts'
import { createPool, waitForPostgres } from '../infra/postgres.ts'
import { createSignInVault } from '../infra/sign-in-vault.ts'
import { subjects } from '../schemas/bus.ts'
import { createRevoked } from './access/revoked.ts'
import { createSignInView } from './access/sign-in-view.ts'
import { type AccessView, createAccessView } from './access/view.ts'
import { registerQueryApi } from './app.ts'
import { createNames } from './names.ts'
import { Reader } from './reader.ts'
import { refusalsByBus } from './request-refusals.ts'

/** The read side with its connections, to be put on an HTTP server. */
export type QuerySide = {
  /** Who may do what, as the read models tell it. */
  access: AccessView
  /** Who comes with a key or a token. */
  authenticate: Authenticate
  register(http: HttpServer): void
  ready(): Promise<Check[]>
  /** Requests that were turned away, where the query side answers them alone. */
  refused: OnRefused
  close: StopStage
}

/** Connects what queries need. Rejects when Postgres or the broker does not answer. */
export async function openQuerySide(config: Config, log: Log): Promise<QuerySide> {
  const url = given(config.postgresUrl, 'OPSCONDUCTOR_POSTGRES_URL')
  const pool = createPool(url, log, { max: 20, name: 'opsconductor query-api' })
  await waitForPostgres(pool, log)
  const bus = await connectBus({ url: given(config.natsUrl, 'OPSCONDUCTOR_NATS_URL'), name: 'query-api', log })
  const reader = new Reader(pool, bus)
  const vault = createSignInVault(bus)
  const names = createNames(vault, systemClock)
  const signIn = createSignInView({ reader, log, changed: names.forget })
  const revoked = createRevoked({ bus, log, ended: signIn.end })
  const access = createAccessView({ reader, log, less: revoked.less })
  const tokens = createTokenCheck({
    publicKeys: async () => (await vault.ask('public-keys', {})).keys,
    clock: systemClock,
  })
  const artifacts = createArtifactStore(pool, systemClock, config.artifactQuotaBytes)
  const refusals = refusalsByBus(bus, log)
  const administrators = administratorKeys(apiKeyCheck(config.apiKeysFile, systemClock))
  const authentication = createAuthentication({
    ...{ administrators, tokens, clock: systemClock, refresh: signIn.refresh },
    facts: () => signIn.facts,
    access: () => access.state,
    keyUsed: keyId => publishJson(bus, subjects.keyUsed, { keyId }),
  })
  return {
    access,
    // Until the read models were read, what has ended is not known.
    authenticate: (presented, request) =>
      signIn.live && access.live ? authentication(presented, request) : administrators(presented),
    register: http => registerQueryApi(http, { pool, bus, log, artifacts, access, names, clock: systemClock }),
    ready: async () => [
      { name: 'postgres', ok: await pool.query('select 1').then(Boolean, () => false) },
      { name: 'broker', ok: bus.status() === 'connected' },
    ],
    refused: refusals.record,
    close: {
      name: 'close the query side',
      deadlineMs: 5_000,
      run: async () => {
        await refusals.flush()
        revoked.stop()
        await Promise.all([access.stop(), signIn.stop()])
        await Promise.all([bus.close(), pool.end()])
      },
    },
  }
}

/** The query API alone, as a role of its own. */
export async function start(config: Config, log: Log): Promise<RunningRole> {
  const side = await openQuerySide(config, log)
  const { authenticate } = side
  const http = await createHttpServer({
    log,
    authenticate,
    ready: side.ready,
    refused: side.refused,
    edge: config.edge,
  })
  side.register(http)
  const url = await listen(http, config)
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
