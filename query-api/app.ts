import type { Bus } from '../infra/bus.ts'
import type { HttpServer } from '../infra/http/index.ts'
import type { Log } from '../infra/log.ts'
import type { Pool } from '../infra/postgres.ts'
import { registerAudit } from './audit.ts'
import { registerHistory } from './history.ts'
import { registerJobVersions } from './job-versions.ts'
import { registerLive } from './live/routes.ts'
import { registerOutput } from './output.ts'
import { Reader } from './reader.ts'
import { registerResources } from './resources.ts'
import { registerRuns } from './runs.ts'
import { registerStatus } from './status.ts'

/** Everything that reads: lists and items, history, output, audit, live streams. */
export function registerQueryApi(http: HttpServer, { pool, bus, log }: { pool: Pool; bus: Bus; log: Log }): void {
  const reader = new Reader(pool, bus)
  registerResources(http, reader)
  registerHistory(http, reader)
  registerJobVersions(http, reader)
  registerRuns(http, reader)
  registerOutput(http, reader)
  registerAudit(http, reader)
  registerStatus(http, reader)
  registerLive({ http, reader, bus, log })
}
