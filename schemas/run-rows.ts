import { z } from 'zod'
import { principal } from './access.ts'
import { approvers, bound, shown } from './approval.ts'
import { failureClass } from './failure.ts'
import { actorSchema, id, instant, sha256 } from './kernel.ts'
import { counts } from './run.ts'
import { stepId, stepRunId } from './steps/base.ts'
import { attempt, n, stepOutputs } from './target-run.ts'

export const runStatus = z.enum([
  'queued',
  'awaiting-approval',
  'running',
  'paused',
  'cancelling',
  'needs-attention',
  'succeeded',
  'partially-succeeded',
  'failed',
  'cancelled',
  'timed-out',
  'rejected',
])
export const targetRunStatus = z.enum([
  'queued',
  'claimed',
  'running',
  'waiting',
  'succeeded',
  'failed',
  'cancelled',
  'needs-attention',
])
export const stepRunStatus = z.enum(['running', 'waiting', 'succeeded', 'failed', 'cancelled', 'skipped', 'unknown'])
export type RunStatus = z.output<typeof runStatus>
export type TargetRunStatus = z.output<typeof targetRunStatus>

/** A run as lists show it. Target runs are counted by status; `claimed` ones count as running. */
export const runRow = z.object({
  runId: id,
  jobId: id,
  jobName: z.string(),
  jobVersion: z.int(),
  status: runStatus,
  /** The approval it waits for. */
  awaiting: stepId.nullable(),
  /** Too many target runs failed: what has not begun never will. */
  stopped: z.boolean(),
  initiator: actorSchema,
  reason: z.string().nullable(),
  priority: z.int().nullable(),
  pool: z.string().nullable(),
  rerunOf: id.nullable(),
  parent: z.object({ runId: id, stepId, depth: z.int() }).nullable(),
  targets: z.int(),
  counts: counts.extend({ queued: z.int(), waiting: z.int(), running: z.int() }),
  requestedAt: instant,
  startedAt: instant.nullable(),
  finishedAt: instant.nullable(),
})

export const gateStatus = z.enum(['pending', 'passed', 'denied', 'expired', 'failed', 'withdrawn', 'void'])
export type GateStatus = z.output<typeof gateStatus>
const decision = z.object({ by: actorSchema, at: instant, granted: z.boolean(), reason: z.string().nullable() })
export type GateDecision = z.output<typeof decision>
/** What is done once for a whole run: an approval, or a run of another job. `withdrawn`: the run ended before it did. */
export const gateRow = z.object({
  runId: id,
  stepId,
  kind: z.enum(['approval', 'job-run']),
  status: gateStatus,
  prompt: z.string().nullable(),
  quorum: z.int().nullable(),
  granted: z.int(),
  digest: sha256.nullable().describe('To be repeated by whoever says yes'),
  approvers: approvers.nullable(),
  bound: bound.nullable(),
  shown: shown.nullable().describe('What the approvers were shown'),
  delegations: z.array(z.object({ by: z.string(), to: principal, at: instant, reason: z.string().nullable() })),
  voided: z.array(z.string()).describe('Why it was asked for anew the last time'),
  decisions: z.array(decision),
  subRunId: id.nullable(),
  openedAt: instant,
  expiresAt: instant.nullable(),
  closedAt: instant.nullable(),
})

export const targetRunRow = z.object({
  runId: id,
  n,
  targetId: id,
  targetName: z.string().nullable(),
  address: z.string().nullable(),
  status: targetRunStatus,
  /** The step that runs, waits, or needs attention. */
  stepId: stepRunId.nullable(),
  cancelRequested: z.boolean(),
  executorId: z.string().nullable(),
  epoch: z.int().nullable(),
  failure: failureClass.nullable(),
  detail: z.string().nullable(),
  startedAt: instant.nullable(),
  finishedAt: instant.nullable(),
})
export const stepRunRow = z.object({
  runId: id,
  n,
  stepId: stepRunId,
  attempt,
  status: stepRunStatus,
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  failure: failureClass.nullable(),
  detail: z.string().nullable(),
  outputs: stepOutputs.nullable(),
  outputBytes: z.int().nullable(),
  outputSha256: sha256.nullable(),
  outputTruncated: z.boolean().nullable(),
  /** Whether the remote processes of a stopped step are known to be gone. */
  termination: z.enum(['terminated', 'unconfirmed']).nullable(),
  /** When the next attempt may begin at the earliest. */
  retryAt: instant.nullable(),
  waitsUntil: instant.nullable(),
  startedAt: instant,
  finishedAt: instant.nullable(),
})

export type RunRow = z.output<typeof runRow>
export type TargetRunRow = z.output<typeof targetRunRow>
export type StepRunRow = z.output<typeof stepRunRow>
export type GateRow = z.output<typeof gateRow>
