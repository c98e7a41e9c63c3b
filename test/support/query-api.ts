import pino from 'pino'
import type { Test } from 'tap'
import { createArtifactStore } from '../../infra/artifacts.ts'
import { type Bus, connectBus } from '../../infra/bus.ts'
import { systemClock } from '../../infra/clock.ts'
import { createHttpServer, type Holder, type HttpServer } from '../../infra/http/index.ts'
import { createPool, migrate, type Pool } from '../../infra/postgres.ts'
import { registerQueryApi } from '../../query-api/app.ts'
import { startBroker, type TestBroker } from './broker.ts'
import { madeHolder } from './holder.ts'

const log = pino({ level: 'silent' })

export type ServedQueries = { http: HttpServer; pool: Pool; bus: Bus; broker: TestBroker; url: string }

/** The query API over a database of read models, with a broker of its own; the key `reader` may read everything. */
export async function serveQueries(t: Test, postgresUrl: string): Promise<ServedQueries> {
  const pool = createPool(postgresUrl, log, { max: 10 })
  await migrate(pool, log)
  const broker = await startBroker(t)
  const bus = await connectBus({ url: broker.url, name: 'query-api', log })
  const reader = madeHolder('reader', permission => permission.endsWith(':read'))
  const nobody = madeHolder('nobody', () => false)
  const http = await createHttpServer({
    log,
    ready: () => [],
    authenticate: key => new Map<string, Holder>(Object.entries({ reader, nobody })).get(key),
  })
  const artifacts = createArtifactStore(pool, systemClock, 1e9)
  registerQueryApi(http, { pool, bus, log, artifacts })
  const url = await http.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => {
    await http.close()
    await bus.close()
    await pool.end()
  })
  return { http, pool, bus, broker, url }
}
