import { z } from 'zod'
import { identifier, outputValue } from './expression.ts'
import { failureClass } from './failure.ts'
import { id, instant, type MessageOf, name, reason, sha256 } from './kernel.ts'
import { retryPolicy, stepRunId } from './steps/base.ts'
import { address, hostKey, hostKeyPolicy, port } from './target.ts'

/** Position of a target in the run's resolved set, from 0. */
export const n = z.int().min(0).max(9_999)
export const epoch = z.int().min(1)
export const attempt = z.int().min(1)
export const executorId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and -')
const executorKey = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'a raw Ed25519 public key in base64url')
const detail = z.string().max(500)
const targetRun = { runId: id, n }
const stepRun = { ...targetRun, stepId: stepRunId, attempt, epoch }

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

/** The secret that one step reads from its standard input: which version of which credential holds it. */
export const stepSecret = z.strictObject({ stepId: stepRunId, credentialId: id, version: z.int().min(1) })
export type StepSecret = z.output<typeof stepSecret>

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
export const stepOutputs = z.record(identifier, outputValue)
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
    executorKey,
    leaseSeconds: z.int().min(1),
    credential: z.strictObject({ credentialId: id, version: z.int().min(1) }).optional(),
    /** Of the steps it is for. */
    secrets: z.array(stepSecret).min(1).optional(),
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
  /** `started`: whether a step of the claim is known to run. */
  'expire-lease': z.strictObject({ ...targetRun, epoch, started: z.boolean().optional() }),
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

export const targetRunEvents = {
  TargetRunClaimed: z.object({
    ...targetRun,
    targetId: id,
    epoch,
    executorId,
    executorKey,
    deadline: instant,
    steps: z.array(stepRule),
    due: z.array(stepRunId).optional(),
    credential: z.object({ credentialId: id, version: z.int().min(1) }).optional(),
    /** What the vault lets out for single steps of this claim, each while that step runs. */
    secrets: z.array(stepSecret).min(1).optional(),
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

export const hostKeyExpectation = z.strictObject({ policy: hostKeyPolicy, key: hostKey.optional() })

export type TargetRunCommand = MessageOf<typeof targetRunCommands & typeof targetRunPublicCommands>
export type TargetRunEvent = MessageOf<typeof targetRunEvents>
