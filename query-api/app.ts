import type { ArtifactStore } from '../infra/artifacts.ts'
import type { Bus } from '../infra/bus.ts'
import type { Clock } from '../infra/clock.ts'
import type { HttpServer } from '../infra/http/index.ts'
import type { Log } from '../infra/log.ts'
import type { Pool } from '../infra/postgres.ts'
import { registerAccess } from './access/routes.ts'
import type { AccessView } from './access/view.ts'
import { registerArtifactDownload } from './artifacts.ts'
import { registerAudit } from './audit.ts'
import { registerCredentialUses } from './credential-uses.ts'
import { registerHistory } from './history.ts'
import { registerJobVersions } from './job-versions.ts'
import { registerLive } from './live/routes.ts'
import type { Names } from './names.ts'
import { registerOutput } from './output.ts'
import { registerOwnLists } from './own.ts'
import { Reader } from './reader.ts'
import { registerResources } from './resources.ts'
import { registerApprovals } from './runs/approvals.ts'
import { registerAttention } from './runs/attention.ts'
import { registerOutputDownload } from './runs/download.ts'
import { registerRunItem } from './runs/item.ts'
import { registerRunList } from './runs/list.ts'
import { registerResults } from './runs/results.ts'
import { registerTargetRuns } from './runs/target-runs.ts'
import { registerSod } from './sod.ts'
import { registerStatus } from './status.ts'

export type QueryApiParts = {
  pool: Pool
  bus: Bus
  log: Log
  artifacts: ArtifactStore
  access: AccessView
  names: Names
  clock: Clock
}

/** Everything that reads: lists and items, history, output, audit, live streams. */
export function registerQueryApi(
  http: HttpServer,
  { pool, bus, log, artifacts, access, names, clock }: QueryApiParts,
): void {
  const reader = new Reader(pool, bus)
  registerResources({ http, reader, names })
  registerOwnLists(http, reader)
  registerHistory(http, reader)
  registerJobVersions(http, reader)
  registerCredentialUses(http, reader)
  registerRunList(http, reader)
  registerRunItem(http, reader)
  registerTargetRuns(http, reader)
  registerAttention(http, reader)
  registerResults(http, reader)
  registerApprovals(http, reader, access)
  registerOutputDownload(http, reader)
  registerOutput(http, reader)
  registerArtifactDownload(http, reader, artifacts)
  registerAudit(http, reader)
  registerSod(http, reader)
  registerStatus(http, reader)
  registerAccess({ http, reader, access, now: () => clock.now() })
  registerLive({ http, reader, bus, log })
}
