import { z } from 'zod'
import { identifier, outputValue } from './expression.ts'
import { failureClass } from './failure.ts'
import { poolName, selection, strategySchema } from './job.ts'
import { actorSchema, id, instant, type MessageOf, name, reason, sha256 } from './kernel.ts'
import { parameterValues } from './parameters.ts'
import { retryPolicy, stepId, stepRunId } from './steps/base.ts'
import { address, hostKey, hostKeyPolicy, port } from './target.ts'

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

/** Position of a target in the run's resolved set, from 0. */
export const n = z.int().min(0).max(9_999)
export const epoch = z.int().min(1)
export const attempt = z.int().min(1)
export const executorId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and -')
const detail = z.string().max(500)
const targetRun = { runId: id, n }
const stepRun = { ...targetRun, stepId: stepRunId, attempt, epoch }

export const runCommands = {
  'trigger-run': z.strictObject({
    runId: id.optional(),
    jobId: id,
    version: z.int().min(1).optional(),
    selection: selection.optional(),
    parameters: parameterValues.optional(),
    /** `plan` shows what would happen and does nothing. */
    mode: z.enum(['run', 'plan']).optional(),
    /** The word that commands the safety checks want confirmed are meant. */
    confirm: z.boolean().optional(),
    reason: reason.optional(),
  }),
  /** The same job version, parameters and targets again, or only what did not succeed. */
  rerun: z.strictObject({
    runId: id.optional(),
    of: id,
    only: z.enum(['failed']).optional(),
    /** Begins at this step on every target: those before it count as done. */
    fromStep: stepId.optional(),
    confirm: z.boolean().optional(),
    reason: reason.optional(),
  }),
  'cancel-run': z.strictObject({ runId: id, reason: reason.optional() }),
  'pause-run': z.strictObject({ runId: id, reason: reason.optional() }),
  'resume-run': z.strictObject({ runId: id, reason: reason.optional() }),
  'grant-approval': z.strictObject({ runId: id, stepId, reason: reason.optional() }),
  'deny-approval': z.strictObject({ runId: id, stepId, reason }),
}

/** On one target of a run. */
export const targetRunPublicCommands = {
  'cancel-target-run': z.strictObject({ ...targetRun, reason: reason.optional() }),
  /** Stops the step that runs; it counts as failed. */
  'cancel-step': z.strictObject({ ...targetRun, stepId: stepRunId, reason: reason.optional() }),
  /** A person's word on a step of which nobody knows whether it took effect. */
  'resolve-step': z.strictObject({
    ...targetRun,
    stepId: stepRunId,
    as: z.enum(['succeeded', 'failed', 'retry']),
    reason,
  }),
}

/** One step of a run's plan. */
export const plannedStep = z.object({
  id: stepRunId,
  /** Begins on no target before every target is over with the step before it. */
  barrier: z.literal(true).optional(),
  /** Is not done on targets but once for the run. */
  gate: z.literal(true).optional(),
})
export type PlannedStep = z.output<typeof plannedStep>

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
  /** Nothing new begins: too many failures. */
  'stop-run': z.strictObject({ runId: id, failed: z.int().min(1) }),
  'time-out-run': z.strictObject({ runId: id }),
  'reject-run': z.strictObject({ runId: id, why: z.enum(['overlap']), detail: z.string().max(500) }),
  'report-attention': z.strictObject({ runId: id, counts }),
  'open-gate': z.strictObject({
    runId: id,
    stepId,
    gate: z.discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('approval'),
        prompt: z.string().max(2_000),
        quorum: z.int().min(1),
        expiresSeconds: z.int().min(1),
      }),
      z.strictObject({ kind: z.literal('job-run'), subRunId: id, jobId: id }),
      /** Its `if` is false. */
      z.strictObject({ kind: z.literal('skip') }),
      z.strictObject({ kind: z.literal('impossible'), class: failureClass, detail }),
    ]),
  }),
  'expire-approval': z.strictObject({ runId: id, stepId }),
  'close-sub-run': z.strictObject({ runId: id, stepId, subRunId: id, status: z.string().max(40) }),
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
    parameters: parameterValues.optional(),
    strategy: strategySchema.optional(),
    overlap: z.enum(['allow', 'queue', 'skip', 'cancel-previous']).optional(),
    priority: z.int().min(0).max(9).optional(),
    pool: poolName.optional(),
    access: z.enum(['exclusive', 'shared']).optional(),
    timeouts: z
      .object({
        connectSeconds: z.int().optional(),
        targetRunSeconds: z.int().optional(),
        runSeconds: z.int().optional(),
      })
      .optional(),
    /** The steps each target goes through, in order, and what holds them up; loops are unrolled. */
    plan: z.array(plannedStep).optional(),
    rerunOf: id.optional(),
    fromStep: stepId.optional(),
    /** The run whose step triggered this one, and how many are above it. */
    parent: z.object({ runId: id, stepId, depth: z.int().min(1) }).optional(),
    /** Rules of the safety checks that were confirmed, with the digest of the rule set. */
    confirmed: z.object({ rules: z.array(z.string()), rulesDigest: sha256 }).optional(),
  }),
  /** The resolved set in the order of `n`; a large set spans several events, `from` being the first `n`. */
  TargetsResolved: z.object({ runId: id, from: z.int().min(0), targetIds: z.array(id).min(1) }),
  RunStarted: z.object({ runId: id }),
  RunPaused: z.object({ runId: id, reason: reason.optional() }),
  RunResumed: z.object({ runId: id, reason: reason.optional() }),
  /** More target runs failed than the strategy allows: those that have not begun never will. */
  RunStopped: z.object({ runId: id, failed: z.int().min(1) }),
  ApprovalRequested: z.object({
    runId: id,
    stepId,
    prompt: z.string(),
    quorum: z.int().min(1),
    expiresAt: instant,
  }),
  /** `by` names the person; `granted` counts the people so far. */
  ApprovalGranted: z.object({
    runId: id,
    stepId,
    by: z.string(),
    granted: z.int().min(1),
    reason: reason.optional(),
  }),
  ApprovalQuorumReached: z.object({ runId: id, stepId }),
  ApprovalDenied: z.object({ runId: id, stepId, reason }),
  ApprovalExpired: z.object({ runId: id, stepId }),
  /** A step that is done once for the run is left out: what needs it goes on. */
  RunStepSkipped: z.object({ runId: id, stepId }),
  /** It cannot be done: what needs it will not be done. */
  RunStepFailed: z.object({ runId: id, stepId, class: failureClass, detail }),
  SubRunTriggered: z.object({ runId: id, stepId, subRunId: id, jobId: id }),
  SubRunEnded: z.object({ runId: id, stepId, subRunId: id, status: z.string() }),
  RunCancellationRequested: z.object({
    runId: id,
    reason: reason.optional(),
    cause: z.enum(['timed-out']).optional(),
  }),
  RunSucceeded: z.object({ runId: id, counts }),
  RunPartiallySucceeded: z.object({ runId: id, counts }),
  RunFailed: z.object({ runId: id, counts }),
  RunCancelled: z.object({ runId: id, counts }),
  RunTimedOut: z.object({ runId: id, counts }),
  RunRejected: z.object({
    runId: id,
    why: z.enum(['overlap', 'approval-denied', 'approval-expired']),
    detail: z.string(),
    counts: counts.optional(),
  }),
  /** All that is left waits for a person; a step that is resolved lets the run go on. */
  RunNeedsAttention: z.object({ runId: id, counts }),
}

export const outputStream = z.enum(['stdout', 'stderr'])
const outputDigest = z.object({ bytes: z.int().min(0), chunks: z.int().min(0), sha256, truncated: z.boolean() })
export type OutputDigest = z.output<typeof outputDigest>

/** What a target run knows of a step it is to go through. */
export const stepRule = z.object({
  id: stepRunId,
  idempotent: z.boolean(),
  continueOnError: z.boolean(),
  retry: retryPolicy.optional(),
  /** There is a command that tells whether the step took effect. */
  checkable: z.boolean().optional(),
  /** What undoes it, as a step of its own: done only when the target run fails after this one succeeded. */
  undo: stepRunId.optional(),
  /** `undo` and `handler` are done only after a failure; absent: `main`. */
  phase: z.enum(['main', 'undo', 'handler']).optional(),
})
export type StepRule = z.output<typeof stepRule>
const skipWhy = z.enum([
  'earlier-step-failed',
  'cancelled',
  'condition',
  'not-selected',
  'before-first-step',
  'stopped',
])
const skippedStep = z.object({ stepId: stepRunId, why: skipWhy })

const startedStep = { ...stepRun, at: instant }
const stepOutputs = z.record(identifier, outputValue)
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
    steps: z.array(stepRule).min(1),
    /** What of it this claim is for, in order; absent: all that is left. */
    due: z.array(stepRunId).optional(),
    /** Steps before the last of these that are left out on this target. */
    skip: z.array(skippedStep).optional(),
    executorId,
    executorKey: base64urlKey(),
    leaseSeconds: z.int().min(1),
    credential: z.strictObject({ credentialId: id, version: z.int().min(1) }).optional(),
    target: z.strictObject({ name, address, port }),
  }),
  'start-step': z.strictObject(startedStep),
  'succeed-step': z.strictObject({ ...outcome, exitCode: z.int(), outputs: stepOutputs.optional() }),
  'fail-step': z.strictObject({
    ...outcome,
    class: failureClass,
    exitCode: z.int().optional(),
    signal: z.string().max(20).optional(),
    /** Of a step that was stopped: whether nothing of it is left. */
    termination: z.enum(['not-started', 'terminated', 'unconfirmed']).optional(),
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
    stepId: stepRunId.optional(),
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
  /** The target run is free and has not ended. */
  'end-unclaimed-target-run': z.strictObject({
    ...targetRun,
    targetId: id,
    why: z.enum(['cancelled', 'stopped', 'timed-out', 'gate-closed']),
  }),
  /** What the check command of a step of unknown outcome says. */
  'report-check': z.strictObject({
    ...stepRun,
    seq: z.int().min(1),
    at: instant,
    verdict: z.enum(['happened', 'did-not-happen', 'unclear']),
    detail,
  }),
  /** All that is left is left out: nothing needs an executor. */
  'settle-target-run': z.strictObject({
    ...targetRun,
    targetId: id,
    steps: z.array(stepRule).min(1),
    skip: z.array(skippedStep).min(1),
  }),
  'begin-wait': z.strictObject({
    ...targetRun,
    targetId: id,
    steps: z.array(stepRule).min(1),
    skip: z.array(skippedStep).optional(),
    stepId: stepRunId,
    until: instant,
  }),
  'end-wait': z.strictObject({ ...targetRun, stepId: stepRunId }),
  'time-out-target-run': z.strictObject({ ...targetRun, targetId: id }),
  /** What is to be done cannot even be written down: an expression that fails, a command the safety checks deny. */
  'fail-unclaimed-target-run': z.strictObject({
    ...targetRun,
    targetId: id,
    steps: z.array(stepRule).min(1),
    stepId: stepRunId,
    class: failureClass,
    detail,
  }),
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
    steps: z.array(stepRule),
    due: z.array(stepRunId).optional(),
    credential: z.object({ credentialId: id, version: z.int().min(1) }).optional(),
    target: z.object({ name, address, port }),
  }),
  TargetRunHandedBack: z.object({ ...targetRun, epoch, seq: z.int().min(1), detail }),
  StepStarted: z.object(startedStep),
  StepSucceeded: z.object({ ...outcome, exitCode: z.int(), outputs: stepOutputs.optional() }),
  /** It failed, and there will be another attempt. */
  StepAttemptFailed: z.object({
    ...outcome,
    class: failureClass,
    exitCode: z.int().optional(),
    signal: z.string().optional(),
    detail,
  }),
  /** `started`: the attempt that failed had begun; else the target was not even reached. */
  StepRetryScheduled: z.object({
    ...stepRun,
    started: z.boolean(),
    class: failureClass,
    detail,
    notBefore: instant,
  }),
  StepWaitStarted: z.object({
    ...targetRun,
    targetId: id,
    steps: z.array(stepRule),
    stepId: stepRunId,
    until: instant,
  }),
  StepWaitEnded: z.object({ ...targetRun, stepId: stepRunId }),
  StepFailed: z.object({
    ...outcome,
    class: failureClass,
    exitCode: z.int().optional(),
    signal: z.string().optional(),
    detail,
  }),
  StepSkipped: z.object({ ...targetRun, stepId: stepRunId, epoch: z.int().min(0), why: skipWhy }),
  StepChecked: z.object({ ...stepRun, verdict: z.enum(['happened', 'did-not-happen', 'unclear']), detail }),
  StepResolved: z.object({ ...stepRun, as: z.enum(['succeeded', 'failed', 'retry']), reason }),
  StepCancellationRequested: z.object({ ...targetRun, stepId: stepRunId, reason: reason.optional() }),
  TargetRunCancellationRequested: z.object({
    ...targetRun,
    reason: reason.optional(),
    cause: z.enum(['timed-out']).optional(),
  }),
  /** The target run has failed; these are done before it ends: what undoes earlier steps, then failure handlers. */
  CompensationStarted: z.object({ ...targetRun, steps: z.array(stepRunId).min(1), class: failureClass, detail }),
  CompensationCompleted: z.object({ ...targetRun, failed: z.array(stepRunId) }),
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
  TargetRunNeedsAttention: z.object({ ...targetRun, targetId: id, stepId: stepRunId.optional(), detail }),
}

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

export const gateStatus = z.enum(['pending', 'passed', 'denied', 'expired', 'failed', 'withdrawn'])
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

export const hostKeyExpectation = z.strictObject({ policy: hostKeyPolicy, key: hostKey.optional() })

export type RunCommand = MessageOf<typeof runCommands & typeof runInternalCommands>
export type RunEvent = MessageOf<typeof runEvents>
export type TargetRunCommand = MessageOf<typeof targetRunCommands & typeof targetRunPublicCommands>
export type TargetRunEvent = MessageOf<typeof targetRunEvents>
export type RunRow = z.output<typeof runRow>
export type TargetRunRow = z.output<typeof targetRunRow>
export type StepRunRow = z.output<typeof stepRunRow>
export type GateRow = z.output<typeof gateRow>
