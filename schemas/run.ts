import { z } from 'zod'
import { principal } from './access.ts'
import { approvalTerms, approvers, authorisedBy, bound, delegate, shown } from './approval.ts'
import { failureClass } from './failure.ts'
import { access, overlap, poolName, priority, selection, strategySchema } from './job.ts'
import { actorSchema, id, instant, type MessageOf, name, reason, sha256 } from './kernel.ts'
import { labelExpression } from './label-expression.ts'
import { parameterValues } from './parameters.ts'
import { stepId, stepRunId } from './steps/base.ts'

const detail = z.string().max(500)

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
    /** Begins at this step on every target: those before it count as done, approvals only if they were given. */
    fromStep: stepId.optional(),
    mode: z.enum(['run', 'plan']).optional(),
    confirm: z.boolean().optional(),
    reason: reason.optional(),
  }),
  'cancel-run': z.strictObject({ runId: id, reason: reason.optional() }),
  'pause-run': z.strictObject({ runId: id, reason: reason.optional() }),
  'resume-run': z.strictObject({ runId: id, reason: reason.optional() }),
  'grant-approval': z.strictObject({
    runId: id,
    stepId,
    digest: sha256.optional().describe('What is agreed to: the digest that was shown with the approval'),
    reason: reason.optional(),
  }),
  'deny-approval': z.strictObject({ runId: id, stepId, reason }),
  'delegate-approval': z.strictObject({ runId: id, stepId, to: delegate, reason: reason.optional() }),
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

export const counts = z.object({
  succeeded: z.int().min(0),
  failed: z.int().min(0),
  cancelled: z.int().min(0),
  needsAttention: z.int().min(0),
})
/** How many steps of the run people have resolved before. Absent for none. */
const resolved = z.int().min(1)
/** Appended by the reactors; never offered over HTTP. */
export const runInternalCommands = {
  'start-run': z.strictObject({ runId: id }),
  'finish-run': z.strictObject({ runId: id, counts }),
  /** Nothing new begins: too many failures. */
  'stop-run': z.strictObject({ runId: id, failed: z.int().min(1) }),
  'time-out-run': z.strictObject({ runId: id }),
  'reject-run': z.strictObject({ runId: id, why: z.enum(['overlap', 'not-permitted']), detail }),
  'report-attention': z.strictObject({ runId: id, counts, resolved: resolved.optional() }),
  'open-gate': z.strictObject({
    runId: id,
    stepId,
    gate: z.discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('approval'),
        prompt: z.string().max(2_000),
        quorum: z.int().min(1),
        expiresSeconds: z.int().min(1),
        approvers: approvers.optional(),
        bound: bound.optional(),
        shown: shown.optional(),
      }),
      z.strictObject({ kind: z.literal('job-run'), subRunId: id, jobId: id }),
      /** Its `if` is false. */
      z.strictObject({ kind: z.literal('skip') }),
      z.strictObject({ kind: z.literal('impossible'), class: failureClass, detail }),
    ]),
  }),
  'expire-approval': z.strictObject({ runId: id, stepId }),
  /** What was agreed to has changed before anything of it began. */
  'void-approval': z.strictObject({ runId: id, stepId, digest: sha256, changes: z.array(detail).min(1) }),
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
    overlap: overlap.optional(),
    priority: priority.optional(),
    pool: poolName.optional(),
    /** Labels that an executor has to have to be given any of it. */
    executors: labelExpression.optional(),
    access: access.optional(),
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
    /** Asked before anything of it begins. */
    approval: z.object(approvalTerms).optional(),
    /** What allowed it to be triggered. */
    authorisedBy: authorisedBy.optional(),
    /** The user or service account whose rights it uses. */
    runAs: principal.optional(),
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
    approvers: approvers.optional(),
    bound: bound.optional(),
    shown: shown.optional(),
  }),
  /** `by` names the person; `granted` counts the people so far. */
  ApprovalGranted: z.object({
    runId: id,
    stepId,
    by: z.string(),
    granted: z.int().min(1),
    digest: sha256.optional(),
    reason: reason.optional(),
  }),
  ApprovalQuorumReached: z.object({ runId: id, stepId }),
  ApprovalDenied: z.object({ runId: id, stepId, reason }),
  /** Somebody who could have decided leaves it to somebody else. */
  ApprovalDelegated: z.object({ runId: id, stepId, by: z.string(), to: principal, reason: reason.optional() }),
  /** A rule says that it is not for them to decide; told once for each person. */
  SelfApprovalRefused: z.object({ runId: id, stepId, by: z.string(), rule: z.string(), detail }),
  /** What was agreed to is not what would be done now: it is asked for anew. */
  ApprovalVoided: z.object({ runId: id, stepId, digest: sha256, changes: z.array(detail).min(1) }),
  ApprovalExpired: z.object({ runId: id, stepId }),
  /** A step that is done once for the run is left out: what needs it goes on. */
  RunStepSkipped: z.object({ runId: id, stepId, why: z.enum(['condition', 'before-first-step']).optional() }),
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
    why: z.enum(['overlap', 'not-permitted', 'approval-denied', 'approval-expired']),
    detail: z.string(),
    counts: counts.optional(),
  }),
  /** All that is left waits for a person; a step that is resolved lets the run go on. */
  RunNeedsAttention: z.object({ runId: id, counts, resolved: resolved.optional() }),
}

/** The events that end a run, with the status each leaves it in. */
export const runEndings = {
  RunSucceeded: 'succeeded',
  RunPartiallySucceeded: 'partially-succeeded',
  RunFailed: 'failed',
  RunCancelled: 'cancelled',
  RunTimedOut: 'timed-out',
  RunRejected: 'rejected',
} as const satisfies Partial<Record<keyof typeof runEvents, string>>
export type RunEnding = (typeof runEndings)[keyof typeof runEndings]
const endings: Readonly<Record<string, RunEnding>> = runEndings
/** The status with which an event ends its run; undefined when it does not. */
export const runEndedAs = (eventType: string): RunEnding | undefined => endings[eventType]
const endingStatuses: ReadonlySet<string> = new Set(Object.values(runEndings))
export const isRunOver = (status: string): boolean => endingStatuses.has(status)

export type RunCommand = MessageOf<typeof runCommands & typeof runInternalCommands>
export type RunEvent = MessageOf<typeof runEvents>
