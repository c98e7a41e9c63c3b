import type { Logger } from 'pino'
import type { Clock } from '../infra/clock.ts'
import type { EgressPolicy } from '../infra/egress.ts'
import type { Ids } from '../infra/ids.ts'
import type { Artifacts } from './artifacts.ts'
import type { ControlPlane } from './control-plane.ts'
import type { Lease } from './lease.ts'
import type { OutputSender } from './output/output-sender.ts'
import type { MayRun } from './policy.ts'
import type { SecretSource } from './secret-source.ts'
import type { ReportSpool } from './spool/report-spool.ts'
import type { ConnectionPool } from './ssh/pool.ts'

/** What the work on a target run needs of its executor. */
export type ExecutorContext = {
  controlPlane: ControlPlane
  spool: ReportSpool
  output: OutputSender
  pool: ConnectionPool
  secrets: SecretSource
  artifacts: Artifacts
  egress: EgressPolicy
  mayRun: MayRun
  lease: Lease
  clock: Clock
  ids: Ids
  log: Logger
  /** Output of one attempt beyond this is read and not kept. */
  outputCapBytes: number
}
