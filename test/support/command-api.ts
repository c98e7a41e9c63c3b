import { pino } from 'pino'
import { type AccessFeed, createAccessFeed } from '../../command-api/access/feed.ts'
import { createActiveRuns } from '../../command-api/active-runs.ts'
import { registerCommandApi } from '../../command-api/app.ts'
import { type Catalogue, createCatalogue } from '../../command-api/dispatch/catalogue.ts'
import { createStateCache } from '../../command-api/dispatch/state-cache.ts'
import { createDispatcher } from '../../command-api/dispatch.ts'
import { createRefusals, type Refusals } from '../../command-api/refusals.ts'
import type { VaultClient } from '../../command-api/vault-client.ts'
import { systemClock } from '../../infra/clock.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import { createHttpServer, type Holder, type HttpAnswer, type HttpServer } from '../../infra/http/index.ts'
import { systemIds } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import { createVerdicts } from '../../infra/safety/verdicts.ts'
import type { SignInVault } from '../../infra/sign-in-vault.ts'
import { ProblemError } from '../../schemas/problems.ts'
import { madeHolder } from './holder.ts'

const permits = (key: string, permission: string) => (key === 'mallory' ? permission === 'command:send' : key !== 'eve')

/** For specs that sign nobody in. */
export const silentVault: SignInVault = {
  ask: async () => {
    throw new ProblemError('vault-unavailable')
  },
}

export type CommandApi = {
  http: HttpServer
  catalogue: Catalogue
  access: AccessFeed
  refusals: Refusals
  /** Sends a command as JSON with the key `ann`. */
  send(name: string, data: unknown, headers?: Record<string, string>): Promise<HttpAnswer>
}

/**
 * A command API in this process. The keys `ann` and `bob` may do everything, the key `eve` nothing, the key `mallory`
 * may send many commands at once but none of them.
 */
export async function commandApi(
  t: { teardown(fn: () => unknown): unknown },
  parts: {
    store: EventStore
    vault: VaultClient
    signIn?: SignInVault
    log?: Log
    forget?: true
    summaryAfterMs?: number
    /** Who else there is, by their grants. */
    holder?(key: string, access: AccessFeed): Holder | undefined
  },
): Promise<CommandApi> {
  const { store, vault, log = pino({ level: 'silent' }) } = parts
  const catalogue = createCatalogue({ store, log })
  const activeRuns = createActiveRuns({ store, log })
  const access = createAccessFeed({ store, log })
  const dispatcher = createDispatcher({
    ...{ store, appended: access.note },
    ...(!parts.forget && { cache: createStateCache() }),
  })
  const http = await createHttpServer({
    log,
    authenticate: key => parts.holder?.(key, access) ?? madeHolder(key, permission => permits(key, permission)),
    ready: () => [],
  })
  const [clock, ids] = [systemClock, systemIds]
  const refusals = createRefusals({
    ...{ store, clock, ids, log },
    ...(parts.summaryAfterMs !== undefined && { summaryAfterMs: parts.summaryAfterMs }),
  })
  const verdicts = createVerdicts()
  const signIn = parts.signIn ?? silentVault
  registerCommandApi(http, {
    ...{ store, dispatcher, catalogue, access, activeRuns, vault, signIn, clock, ids, log, refusals, verdicts },
  })
  await http.ready()
  t.teardown(async () => {
    await http.close()
    await Promise.all([catalogue.stop(), activeRuns.stop(), access.stop()])
  })
  return {
    http,
    catalogue,
    access,
    refusals,
    send: (name, data, headers = {}) =>
      http.inject({
        method: 'POST',
        url: `/v1/commands/${name}`,
        headers: { authorization: 'Bearer ann', 'content-type': 'application/json', ...headers },
        payload: typeof data === 'string' || Buffer.isBuffer(data) ? data : JSON.stringify(data),
      }),
  }
}
