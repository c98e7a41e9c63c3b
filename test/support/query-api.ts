import pino from 'pino'
import { createArtifactStore } from '../../infra/artifacts.ts'
import { type Bus, connectBus } from '../../infra/bus.ts'
import { systemClock } from '../../infra/clock.ts'
import { createHttpServer, type Holder, type HttpServer } from '../../infra/http/index.ts'
import { createPool, migrate, type Pool } from '../../infra/postgres.ts'
import { createRevoked } from '../../query-api/access/revoked.ts'
import { type AccessView, createAccessView } from '../../query-api/access/view.ts'
import { registerQueryApi } from '../../query-api/app.ts'
import type { Names } from '../../query-api/names.ts'
import { Reader } from '../../query-api/reader.ts'
import { startBroker, type TestBroker } from './broker.ts'
import { madeHolder } from './holder.ts'

/** Where there is no vault to ask. */
const madeUpNames: Names = {
  of: async userIds => new Map(userIds.map(id => [id, { loginName: `login ${id}`, displayName: null, email: null }])),
  find: async () => undefined,
  forget: () => undefined,
}
const log = pino({ level: 'silent' })

export type ServedQueries = {
  http: HttpServer
  pool: Pool
  bus: Bus
  broker: TestBroker
  url: string
  access: AccessView
}

/** The query API over a database of read models, with a broker of its own; the key `reader` may read everything. */
export async function serveQueries(
  t: { teardown(fn: () => unknown): unknown },
  postgresUrl: string,
  /** Who else there is, by their grants. */
  other: (key: string, access: AccessView) => Holder | undefined = () => undefined,
  /** That of others, instead of one of its own. */
  shared?: TestBroker,
): Promise<ServedQueries> {
  const pool = createPool(postgresUrl, log, { max: 10 })
  await migrate(pool, log)
  const broker = shared ?? (await startBroker(t))
  const bus = await connectBus({ url: broker.url, name: 'query-api', log })
  const revoked = createRevoked({ bus, log, ended: () => undefined })
  const access = createAccessView({ reader: new Reader(pool, bus), log, less: revoked.less })
  const reader = madeHolder('reader', permission => permission.endsWith(':read'))
  const nobody = madeHolder('nobody', () => false)
  const http = await createHttpServer({
    log,
    ready: () => [],
    authenticate: key => other(key, access) ?? new Map(Object.entries({ reader, nobody })).get(key),
  })
  const artifacts = createArtifactStore(pool, systemClock, 1e9)
  registerQueryApi(http, {
    pool,
    bus,
    log,
    artifacts,
    access,
    names: madeUpNames,
    clock: systemClock,
  })
  const url = await http.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => {
    await http.close()
    revoked.stop()
    await access.stop()
    await bus.close()
    await pool.end()
  })
  return { http, pool, bus, broker, url, access }
}
