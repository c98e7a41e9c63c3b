import type { RunEvent } from '../../schemas/run.ts'
import type { GateRow, RunRow, StepRunRow, TargetRunRow } from '../../schemas/run-rows.ts'
import type { State } from '../diff.ts'
import { defineTable } from '../table.ts'
import type { RunLife } from './life.ts'
import type { Counter } from './status.ts'

/** A run as far as it changes, and what lists are filtered by. */
export type RunState = Omit<RunRow, 'counts'> &
  RunLife &
  Record<Counter, number> & {
    /** Of the newest event of the run's own stream. */
    revision: string
    initiatorId: string
    parentRunId: string | null
    maxParallel: number | null
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
  started: 'boolean',
  paused: 'boolean',
  cancelling: 'boolean',
  attention: 'boolean',
  stopped: 'boolean',
  awaiting: 'text',
  granted: 'int',
  initiator: 'json',
  initiatorId: 'text',
  reason: 'text',
  priority: 'int',
  pool: 'text',
  maxParallel: 'int',
  rerunOf: 'uuid',
  parent: 'json',
  parentRunId: 'uuid',
  targets: 'int',
  queued: 'int',
  waiting: 'int',
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

type Requested = Extract<RunEvent, { type: 'RunRequested' }>['data']
/** What was asked for, apart from the run, whose row is written again with every target run that gets on. */
export type RunRequest = {
  runId: string
  selection: State
  parameters: State
  strategy: State
  timeouts: State
  plan: NonNullable<Requested['plan']>
  overlap: string | null
  access: string | null
  executors: string | null
  fromStep: string | null
  confirmed: State | null
  approval: State | null
  authorisedBy: State | null
  runAs: State | null
}

export const runRequest = defineTable<RunRequest>('run_request', ['runId'], {
  runId: 'uuid',
  selection: 'json',
  parameters: 'json',
  strategy: 'json',
  timeouts: 'json',
  plan: 'json',
  overlap: 'text',
  access: 'text',
  executors: 'text',
  fromStep: 'text',
  confirmed: 'json',
  approval: 'json',
  authorisedBy: 'json',
  runAs: 'json',
})

/** A gate with what a list of them shows of its run. */
export type GateState = GateRow & { jobId: string; jobName: string; openedCommit: string }

export const runGate = defineTable<GateState>('run_gate', ['runId', 'stepId'], {
  runId: 'uuid',
  stepId: 'text',
  kind: 'text',
  status: 'text',
  jobId: 'uuid',
  jobName: 'text',
  prompt: 'text',
  quorum: 'int',
  granted: 'int',
  digest: 'text',
  approvers: 'json',
  bound: 'json',
  shown: 'json',
  delegations: 'json',
  voided: 'json',
  decisions: 'json',
  subRunId: 'uuid',
  openedAt: 'timestamptz',
  openedCommit: 'bigint',
  expiresAt: 'timestamptz',
  closedAt: 'timestamptz',
})

/** `due`: what is left of what the newest claim is for. */
export type TargetRunState = TargetRunRow & { due: string[] | null }

export const targetRun = defineTable<TargetRunState>('target_run', ['runId', 'n'], {
  runId: 'uuid',
  n: 'int',
  targetId: 'uuid',
  targetName: 'text',
  address: 'text',
  status: 'text',
  stepId: 'text',
  cancelRequested: 'boolean',
  executorId: 'text',
  epoch: 'int',
  failure: 'text',
  detail: 'text',
  due: 'json',
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
  outputs: 'jsonb',
  outputBytes: 'bigint',
  outputSha256: 'text',
  outputTruncated: 'boolean',
  termination: 'text',
  retryAt: 'timestamptz',
  waitsUntil: 'timestamptz',
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
  create index on run (((status = 'needs-attention')::int), requested_commit);
  create index on run (job_id, requested_commit);
  create index on run (status, requested_commit);
  create index on run (initiator_id, requested_commit);
  create index on run (rerun_of, requested_commit) where rerun_of is not null;
  create index on run (parent_run_id, requested_commit) where parent_run_id is not null;
  create index on run (requested_at);
  create index on run_gate (status, opened_commit, run_id, step_id);
  create index on target_run (target_id, run_id);
  create index on target_run (run_id, status, n);
  create index on step_run (run_id, n, step_id, attempt) where termination = 'unconfirmed';
  create index on step_run (run_id, step_id, n, attempt);
  create index on step_run ((outputs->>'sha256')) where outputs->>'sha256' is not null;
`
