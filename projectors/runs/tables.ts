import type { Actor } from '../../schemas/kernel.ts'
import type { RunStatus, StepRunRow, TargetRunRow } from '../../schemas/run.ts'
import type { State } from '../diff.ts'
import type { Table } from '../table.ts'

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

export const run: Table<RunState> = {
  name: 'run',
  columns: {
    runId: 'uuid',
    revision: 'bigint',
    jobId: 'uuid',
    jobName: 'text',
    jobVersion: 'int',
    status: 'text',
    initiator: 'jsonb',
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
  },
  key: ['runId'],
}

export const targetRun: Table<TargetRunRow> = {
  name: 'target_run',
  columns: {
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
  },
  key: ['runId', 'n'],
}

export const stepRun: Table<StepRunRow> = {
  name: 'step_run',
  columns: {
    runId: 'uuid',
    n: 'int',
    stepId: 'text',
    attempt: 'int',
    status: 'text',
    exitCode: 'int',
    signal: 'text',
    failure: 'text',
    detail: 'text',
    outputBytes: 'bigint',
    outputSha256: 'text',
    startedAt: 'timestamptz',
    finishedAt: 'timestamptz',
  },
  key: ['runId', 'n', 'stepId', 'attempt'],
}

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

export const runEvent: Table<RunEventRow> = {
  name: 'run_event',
  columns: {
    runId: 'uuid',
    commit: 'bigint',
    prepare: 'bigint',
    type: 'text',
    n: 'int',
    at: 'timestamptz',
    data: 'jsonb',
  },
  key: ['runId', 'commit', 'prepare'],
}

export const runExtras = `
  create index on run (requested_commit);
  create index on run (job_id, requested_commit);
  create index on run (status, requested_commit);
  create index on target_run (target_id, run_id);
`
