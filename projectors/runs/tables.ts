import type { Actor } from '../../schemas/kernel.ts'
import type { RunStatus, StepRunRow, TargetRunRow } from '../../schemas/run.ts'
import type { State } from '../diff.ts'
import { defineTable } from '../table.ts'

export type RunState = {
  runId: string
  /** Of the newest event of the run's own stream. */
  revision: string
  jobId: string
  jobName: string
  jobVersion: number
  status: RunStatus
  initiator: Actor
  reason: string | null
  targets: number
  queued: number
  running: number
  succeeded: number
  failed: number
  cancelled: number
  needsAttention: number
  requestedAt: string
  startedAt: string | null
  finishedAt: string | null
  /** Commit position of the request: the order runs are listed in. */
  requestedCommit: string
}

export const run = defineTable<RunState>('run', ['runId'], {
  runId: 'uuid',
  revision: 'bigint',
  jobId: 'uuid',
  jobName: 'text',
  jobVersion: 'int',
  status: 'text',
  initiator: 'json',
  reason: 'text',
  targets: 'int',
  queued: 'int',
  running: 'int',
  succeeded: 'int',
  failed: 'int',
  cancelled: 'int',
  needsAttention: 'int',
  requestedAt: 'timestamptz',
  startedAt: 'timestamptz',
  finishedAt: 'timestamptz',
  requestedCommit: 'bigint',
})

export const targetRun = defineTable<TargetRunRow>('target_run', ['runId', 'n'], {
  runId: 'uuid',
  n: 'int',
  targetId: 'uuid',
  targetName: 'text',
  address: 'text',
  status: 'text',
  executorId: 'text',
  epoch: 'int',
  failure: 'text',
  detail: 'text',
  startedAt: 'timestamptz',
  finishedAt: 'timestamptz',
})

export const stepRun = defineTable<StepRunRow>('step_run', ['runId', 'n', 'stepId', 'attempt'], {
  runId: 'uuid',
  n: 'int',
  stepId: 'text',
  attempt: 'int',
  status: 'text',
  // Windows exit codes are unsigned.
  exitCode: 'bigint',
  signal: 'text',
  failure: 'text',
  detail: 'text',
  outputBytes: 'bigint',
  outputSha256: 'text',
  startedAt: 'timestamptz',
  finishedAt: 'timestamptz',
})

/** Everything that happened in a run, in log order: what a live stream sends. */
export type RunEventRow = {
  runId: string
  commit: string
  prepare: string
  type: string
  /** The target run it is about; null for the run itself. */
  n: number | null
  at: string
  data: State
}

export const runEvent = defineTable<RunEventRow>('run_event', ['runId', 'commit', 'prepare'], {
  runId: 'uuid',
  commit: 'bigint',
  prepare: 'bigint',
  type: 'text',
  n: 'int',
  at: 'timestamptz',
  data: 'json',
})

export const runIndexes = `
  create index on run (requested_commit);
  create index on run (job_id, requested_commit);
  create index on run (status, requested_commit);
  create index on target_run (target_id, run_id);
`
