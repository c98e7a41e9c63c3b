import { z } from 'zod'
import { selection, stepId } from './job.ts'
import { actorSchema, id, instant, type MessageOf, name, reason, sha256 } from './kernel.ts'
import { address, hostKey, hostKeyPolicy, port } from './target.ts'

export const runStatus = z.enum([
  'queued',
  'running',
  'cancelling',
  'succeeded',
  'partially-succeeded',
  'failed',
  'cancelled',
  'needs-attention',
])
export const targetRunStatus = z.enum([
  'queued',
  'claimed',
  'running',
  'succeeded',
  'failed',
  'cancelled',
  'needs-attention',
])
export const stepRunStatus = z.enum(['running', 'succeeded', 'failed', 'cancelled', 'skipped', 'unknown'])
export type RunStatus = z.output<typeof runStatus>
export type TargetRunStatus = z.output<typeof targetRunStatus>

/** Why a step or a target run failed. Everything before `lost-after-start` happened before the effect. */
export const failureClass = z.enum([
  'dns',
  'unreachable',
  'refused',
  'host-key-mismatch',
  'host-key-unknown',
  'auth-failed',
  'credential-unavailable',
  'channel-refused',
  'lost-before-start',
  'lost-after-start',
  'timed-out',
  'cancelled',
  'command-not-found',
  'exit-nonzero',
  'killed-by-signal',
  'internal',
])
export type FailureClass = z.output<typeof failureClass>

/** Position of a target in the run's resolved set, from 0. */
export const n = z.int().min(0).max(9_999)
export const epoch = z.int().min(1)
export const attempt = z.int().min(1)
export const executorId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and -')
const detail = z.string().max(500)
const targetRun = { runId: id, n }
const stepRun = { ...targetRun, stepId, attempt, epoch }

export const runCommands = {
  'trigger-run': z.strictObject({
    runId: id.optional(),
    jobId: id,
    version: z.int().min(1).optional(),
    selection: selection.optional(),
    reason: reason.optional(),
  }),
  'cancel-run': z.strictObject({ runId: id, reason: reason.optional() }),
}

const counts = z.object({
  succeeded: z.int().min(0),
  failed: z.int().min(0),
  cancelled: z.int().min(0),
  needsAttention: z.int().min(0),
})
/** Appended by the reactors; never offered over HTTP. */
export const runInternalCommands = {
  'start-run': z.strictObject({ runId: id }),
  'finish-run': z.strictObject({ runId: id, counts }),
}

export const runEvents = {
  RunRequested: z.object({
    runId: id,
    jobId: id,
    jobVersion: z.int().min(1),
    jobName: name,
    credentialId: id.optional(),
    maxParallel: z.int().min(1).optional(),
    selection,
    targets: z.int().min(1),
    initiator: actorSchema,
    reason: reason.optional(),
  }),
  /** The resolved set in the order of `n`; a large set spans several events, `from` being the first `n`. */
  TargetsResolved: z.object({ runId: id, from: z.int().min(0), targetIds: z.array(id).min(1) }),
  RunStarted: z.object({ runId: id }),
  RunCancellationRequested: z.object({ runId: id, reason: reason.optional() }),
  RunSucceeded: z.object({ runId: id, counts }),
  RunPartiallySucceeded: z.object({ runId: id, counts }),
  RunFailed: z.object({ runId: id, counts }),
  RunCancelled: z.object({ runId: id, counts }),
  RunNeedsAttention: z.object({ runId: id, counts }),
}

export const outputStream = z.enum(['stdout', 'stderr'])
const outputDigest = z.object({ bytes: z.int().min(0), chunks: z.int().min(0), sha256, truncated: z.boolean() })
export type OutputDigest = z.output<typeof outputDigest>

const startedStep = { ...stepRun, at: instant }
const outcome = {
  ...stepRun,
  seq: z.int().min(1),
  at: instant,
  output: outputDigest,
}

/** What the dispatcher and the executors' reports become. Never offered over HTTP. */
export const targetRunCommands = {
  'claim-target-run': z.strictObject({
    ...targetRun,
    targetId: id,
    steps: z.array(z.strictObject({ id: stepId, idempotent: z.boolean(), continueOnError: z.boolean() })).min(1),
    executorId,
    executorKey: base64urlKey(),
    leaseSeconds: z.int().min(1),
    credential: z.strictObject({ credentialId: id, version: z.int().min(1) }).optional(),
    target: z.strictObject({ name, address, port }),
  }),
  'start-step': z.strictObject(startedStep),
  'succeed-step': z.strictObject({ ...outcome, exitCode: z.int() }),
  'fail-step': z.strictObject({
    ...outcome,
    class: failureClass,
    exitCode: z.int().optional(),
    signal: z.string().max(20).optional(),
    detail,
  }),
  'fail-target-run': z.strictObject({
    ...targetRun,
    epoch,
    seq: z.int().min(1),
    at: instant,
    class: failureClass,
    detail,
  }),
  'report-step-lost': z.strictObject({
    ...stepRun,
    seq: z.int().min(1),
    at: instant,
    /** Taken for `connection-lost` when absent. */
    why: z.enum(['connection-lost', 'executor-restarted']).optional(),
    detail,
  }),
  'report-cancelled': z.strictObject({
    ...targetRun,
    epoch,
    seq: z.int().min(1),
    at: instant,
    stepId: stepId.optional(),
    attempt: attempt.optional(),
    termination: z.enum(['not-started', 'terminated', 'unconfirmed']),
    output: outputDigest.optional(),
    detail,
  }),
  'hand-back-target-run': z.strictObject({ ...targetRun, epoch, seq: z.int().min(1), detail }),
  'report-output-gap': z.strictObject({ ...stepRun, seq: z.int().min(1), from: z.int(), to: z.int(), detail }),
  /** Keeps in the history that a report came for a claim that was over. */
  'record-stale-report': z.strictObject({ ...targetRun, epoch, report: z.string().max(60), seq: z.int() }),
  'expire-lease': z.strictObject({ ...targetRun, epoch }),
  'cancel-target-run': z.strictObject({ ...targetRun, targetId: id }),
}

function base64urlKey() {
  return z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'a raw Ed25519 public key in base64url')
}

export const targetRunEvents = {
  TargetRunClaimed: z.object({
    ...targetRun,
    targetId: id,
    epoch,
    executorId,
    executorKey: base64urlKey(),
    deadline: instant,
    steps: z.array(z.object({ id: stepId, idempotent: z.boolean(), continueOnError: z.boolean() })),
    credential: z.object({ credentialId: id, version: z.int().min(1) }).optional(),
    target: z.object({ name, address, port }),
  }),
  TargetRunHandedBack: z.object({ ...targetRun, epoch, seq: z.int().min(1), detail }),
  StepStarted: z.object(startedStep),
  StepSucceeded: z.object({ ...outcome, exitCode: z.int() }),
  StepFailed: z.object({
    ...outcome,
    class: failureClass,
    exitCode: z.int().optional(),
    signal: z.string().optional(),
    detail,
  }),
  StepSkipped: z.object({ ...targetRun, stepId, epoch, why: z.enum(['earlier-step-failed', 'cancelled']) }),
  StepCancelled: z.object({ ...stepRun, seq: z.int().min(1), at: instant, output: outputDigest.optional(), detail }),
  StepOutcomeUnknown: z.object({
    ...stepRun,
    why: z.enum(['lease-expired', 'connection-lost', 'executor-restarted']),
    detail,
  }),
  OutputSealed: z.object({ ...stepRun, ...outputDigest.shape }),
  OutputGapDetected: z.object({ ...stepRun, seq: z.int().min(1), from: z.int(), to: z.int(), detail }),
  RemoteProcessTerminated: z.object({ ...stepRun, detail }),
  TerminationUnconfirmed: z.object({ ...stepRun, detail }),
  LeaseExpired: z.object({ ...targetRun, epoch, executorId }),
  ReportRejectedStaleEpoch: z.object({
    ...targetRun,
    epoch,
    currentEpoch: epoch,
    report: z.string().max(60),
    seq: z.int(),
  }),
  TargetRunSucceeded: z.object({ ...targetRun, targetId: id }),
  TargetRunFailed: z.object({ ...targetRun, targetId: id, class: failureClass, detail }),
  TargetRunCancelled: z.object({ ...targetRun, targetId: id, detail }),
  TargetRunNeedsAttention: z.object({ ...targetRun, targetId: id, stepId: stepId.optional(), detail }),
}

export const runRow = z.object({
  runId: id,
  jobId: id,
  jobName: z.string(),
  jobVersion: z.int(),
  status: runStatus,
  initiator: actorSchema,
  reason: z.string().nullable(),
  targets: z.int(),
  counts: counts.extend({ queued: z.int(), running: z.int() }),
  requestedAt: instant,
  startedAt: instant.nullable(),
  finishedAt: instant.nullable(),
})
export const targetRunRow = z.object({
  runId: id,
  n,
  targetId: id,
  targetName: z.string().nullable(),
  address: z.string().nullable(),
  status: targetRunStatus,
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
  stepId,
  attempt,
  status: stepRunStatus,
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  failure: failureClass.nullable(),
  detail: z.string().nullable(),
  outputBytes: z.int().nullable(),
  outputSha256: sha256.nullable(),
  startedAt: instant,
  finishedAt: instant.nullable(),
})

export const hostKeyExpectation = z.strictObject({ policy: hostKeyPolicy, key: hostKey.optional() })

export type RunCommand = MessageOf<typeof runCommands & typeof runInternalCommands>
export type RunEvent = MessageOf<typeof runEvents>
export type TargetRunCommand = MessageOf<typeof targetRunCommands>
export type TargetRunEvent = MessageOf<typeof targetRunEvents>
export type RunRow = z.output<typeof runRow>
export type TargetRunRow = z.output<typeof targetRunRow>
export type StepRunRow = z.output<typeof stepRunRow>
