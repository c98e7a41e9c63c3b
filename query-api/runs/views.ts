import { z } from 'zod'
import { gateRow, runRow } from '../../schemas/run-rows.ts'

export type RunDbRow = Record<string, unknown> & {
  run_id: string
  job_id: string
  targets: number
  queued: number
  waiting: number
  running: number
  succeeded: number
  failed: number
  cancelled: number
  needs_attention: number
  requested_commit: string
  revision: string
}
export const run = runRow.extend({ revision: z.string(), position: z.string() })

export const countsOf = (row: RunDbRow) => ({
  queued: row.queued,
  waiting: row.waiting,
  running: row.running,
  succeeded: row.succeeded,
  failed: row.failed,
  cancelled: row.cancelled,
  needsAttention: row.needs_attention,
})

export const runView = (row: RunDbRow) => ({
  runId: row.run_id,
  jobId: row.job_id,
  jobName: row.job_name,
  jobVersion: row.job_version,
  status: row.status,
  awaiting: row.awaiting,
  stopped: row.stopped,
  initiator: row.initiator,
  reason: row.reason,
  priority: row.priority,
  pool: row.pool,
  rerunOf: row.rerun_of,
  parent: row.parent,
  targets: row.targets,
  counts: countsOf(row),
  requestedAt: row.requested_at,
  startedAt: row.started_at,
  finishedAt: row.finished_at,
  revision: row.revision,
  position: row.requested_commit,
})

export type TargetRunDbRow = Record<string, unknown> & { n: number }
export const targetRunView = (row: TargetRunDbRow) => ({
  runId: row.run_id,
  n: row.n,
  targetId: row.target_id,
  targetName: row.target_name,
  address: row.address,
  status: row.status,
  stepId: row.step_id,
  cancelRequested: row.cancel_requested,
  executorId: row.executor_id,
  epoch: row.epoch,
  failure: row.failure,
  detail: row.detail,
  startedAt: row.started_at,
  finishedAt: row.finished_at,
})

const numberOrNull = (value: unknown) => (value === null ? null : Number(value))
export const stepRunView = (row: Record<string, unknown>) => ({
  runId: row.run_id,
  n: row.n,
  stepId: row.step_id,
  attempt: row.attempt,
  status: row.status,
  exitCode: numberOrNull(row.exit_code),
  signal: row.signal,
  failure: row.failure,
  detail: row.detail,
  outputs: row.outputs,
  outputBytes: numberOrNull(row.output_bytes),
  outputSha256: row.output_sha256,
  outputTruncated: row.output_truncated,
  termination: row.termination,
  retryAt: row.retry_at,
  waitsUntil: row.waits_until,
  startedAt: row.started_at,
  finishedAt: row.finished_at,
})

export type GateDbRow = Record<string, unknown> & { run_id: string; step_id: string; opened_commit: string }
export const gate = gateRow
export const gateView = (row: GateDbRow) => ({
  runId: row.run_id,
  stepId: row.step_id,
  kind: row.kind,
  status: row.status,
  prompt: row.prompt,
  quorum: row.quorum,
  granted: row.granted,
  digest: row.digest,
  approvers: row.approvers,
  bound: row.bound,
  shown: row.shown,
  delegations: row.delegations,
  voided: row.voided,
  decisions: row.decisions,
  subRunId: row.sub_run_id,
  openedAt: row.opened_at,
  expiresAt: row.expires_at,
  closedAt: row.closed_at,
})
