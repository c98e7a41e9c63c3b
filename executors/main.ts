import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { connectBus } from '../infra/bus.ts'
import { systemClock } from '../infra/clock.ts'
import type { Config } from '../infra/config.ts'
import { egressPolicy } from '../infra/egress.ts'
import { lockFile } from '../infra/folder-lock.ts'
import { loadOrCreateIdentity } from '../infra/identity.ts'
import { systemIds } from '../infra/ids.ts'
import type { RunningRole } from '../infra/lifecycle.ts'
import type { Log } from '../infra/log.ts'
import { Artifacts } from './artifacts.ts'
import { ControlPlane } from './control-plane.ts'
import { InFlight } from './in-flight.ts'
import { Lease } from './lease.ts'
import { Membership } from './membership.ts'
import { OutputSender } from './output/output-sender.ts'
import { safetyPolicy } from './policy.ts'
import { recover, reportLost } from './recovery.ts'
import { SecretSource } from './secret-source.ts'
import { OutputSpool } from './spool/output-spool.ts'
import type { RecordLogOptions } from './spool/record-log.ts'
import { ReportSpool } from './spool/report-spool.ts'
import { ConnectionPool } from './ssh/pool.ts'
import { within } from './wait.ts'
import { Worker } from './worker.ts'

const FLUSH_MS = 5_000

/**
 * Takes work from one pool and does it. Holds nothing but its identity and its spool, both in `executorDir`.
 * Rejects when the folder is in use or damaged, or the broker cannot be reached.
 */
export async function start(config: Config, log: Log): Promise<RunningRole> {
  const { executorId, executorDir, natsUrl } = config
  if (!natsUrl) throw new Error('OPSCONDUCTOR_NATS_URL is needed by the executor')
  mkdirSync(executorDir, { recursive: true, mode: 0o700 })
  const unlock = lockFile(path.join(executorDir, 'lock'))
  const identity = loadOrCreateIdentity(path.join(executorDir, 'identity.pem'))
  const disk = diskOptions(log)
  const spool = await ReportSpool.open(path.join(executorDir, 'spool'), disk)
  const outputSpool = new OutputSpool(path.join(executorDir, 'spool'), disk, { totalBytes: config.spoolBytes })
  const bus = await connectBus({ url: natsUrl.reveal(), name: executorId, log })

  const instanceId = systemIds.next()
  const inFlight = new InFlight()
  const shared = { bus, executorId, instanceId, log, inFlight, clock: systemClock, ids: systemIds }
  const controlPlane = new ControlPlane({ ...shared, spool })
  const output = new OutputSender({ ...shared, spool: outputSpool })
  const pool = new ConnectionPool()
  const membership = new Membership({ ...shared, identity, token: config.enrolmentToken })
  const worker = new Worker({
    ...shared,
    ...{ controlPlane, spool, output, pool, identity, membership },
    secrets: new SecretSource({ ...shared, identity }),
    artifacts: new Artifacts(shared),
    egress: egressPolicy(config.egressAllow),
    mayRun: safetyPolicy(),
    lease: new Lease(systemClock, config.leaseSeconds),
    outputCapBytes: config.stepOutputBytes,
    poolName: config.pool,
    slots: config.executorSlots,
    labels: config.executorLabels,
  })
  output.resend()
  await recover(spool, controlPlane, systemClock)
  worker.start()
  const drainMs = config.stopSeconds * 1_000
  return {
    ready: () => [{ name: 'broker', ok: bus.status() === 'connected' }, membership.check()],
    stop: [
      {
        name: 'let running steps end',
        deadlineMs: drainMs + 2_000,
        run: async () => {
          if (!(await worker.drain(drainMs))) await reportLost(spool, controlPlane, systemClock)
        },
      },
      {
        name: 'deliver what is left to say',
        deadlineMs: 3 * FLUSH_MS,
        run: async () => {
          await within(FLUSH_MS, controlPlane.idle())
          controlPlane.stop()
          await output.stop(FLUSH_MS)
          await worker.end()
        },
      },
      {
        name: 'close connections',
        deadlineMs: FLUSH_MS,
        run: async () => {
          pool.close()
          await bus.close()
          await spool.close()
          unlock()
        },
      },
    ],
  }
}

function diskOptions(log: Log): RecordLogOptions {
  return {
    onFull: full => {
      if (full) log.error('the disk is full: nothing new begins until the spool can be written')
      else log.info('the spool can be written again')
    },
    onFatal: err => {
      // After a failed write or fsync nobody knows what the disk holds: only a new start, which reads it, does.
      log.fatal({ err }, 'the spool cannot be written')
      process.exit(1)
    },
  }
}
