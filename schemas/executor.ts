import { z } from 'zod'
import { poolName } from './job.ts'
import { id, instant, line, type MessageOf, reason, sha256, tags } from './kernel.ts'
import { epoch, executorId, n } from './target-run.ts'

export { executorId }

/** Raw Ed25519 public key, 32 bytes in base64url. */
export const publicKey = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'an Ed25519 public key in base64url')
/** What a program says it is; told, never compared. */
export const programVersion = line(40)
/** Which of the protocols between executors and control plane a program speaks. */
export const protocolNumber = z.int().min(1).max(10_000)
const labels = tags

export const executorCommands = {
  'create-enrolment-token': z.strictObject({
    executorId,
    pool: poolName.default('default'),
    labels: labels.default({}),
    expiresSeconds: z.int().min(60).max(604_800).default(3_600),
  }),
  'revoke-executor': z.strictObject({ executorId, reason }),
  'drain-executor': z.strictObject({ executorId, reason: reason.optional() }),
  'resume-executor': z.strictObject({ executorId }),
  'set-executor-labels': z.strictObject({ executorId, labels }),
  'move-executor-to-pool': z.strictObject({ executorId, pool: poolName }),
}

const program = { version: programVersion, protocol: protocolNumber }
const refusedReport = { executorId, runId: id, n, epoch, report: z.string().max(40) }
const refusal = z.enum(['token-invalid', 'token-expired', 'key-revoked', 'signature-wrong'])

/** What the control plane itself records of an executor: that it came with its token, what it runs, what was refused. */
export const executorInternalCommands = {
  /** Like create-enrolment-token, of a token that whoever set the system up has given to the executor already. */
  'invite-executor': z.strictObject({
    executorId,
    tokenHash: sha256,
    pool: poolName,
    expiresSeconds: z.int().min(60),
  }),
  'enrol-executor': z.strictObject({ executorId, tokenHash: sha256, publicKey, ...program }),
  'refuse-enrolment': z.strictObject({ executorId, publicKey, why: refusal }),
  'note-executor-version': z.strictObject({ executorId, ...program }),
  'refuse-report': z.strictObject(refusedReport),
}

export const executorEvents = {
  /** The token itself was shown once to whoever asked for it and is nowhere else. */
  EnrolmentTokenIssued: z.object({ executorId, tokenHash: sha256, pool: poolName, labels, expiresAt: instant }),
  ExecutorEnrolled: z.object({ executorId, publicKey, pool: poolName, labels, ...program, tokenHash: sha256 }),
  EnrolmentRefused: z.object({ executorId, publicKey, why: refusal }),
  ExecutorRevoked: z.object({ executorId, reason }),
  ExecutorDrained: z.object({ executorId, reason: reason.optional() }),
  ExecutorResumed: z.object({ executorId }),
  ExecutorLabelsSet: z.object({ executorId, labels }),
  ExecutorMovedToPool: z.object({ executorId, pool: poolName }),
  ExecutorVersionChanged: z.object({ executorId, ...program }),
  /** What a revoked executor still had to say: heard, not believed. */
  ExecutorReportRefused: z.object(refusedReport),
}

export const executorStatus = z.enum(['invited', 'enrolled', 'draining', 'revoked'])
export const executorRow = z.object({
  executorId,
  name: z.string().describe('The same as its id'),
  pool: poolName,
  labels,
  status: executorStatus,
  publicKey: publicKey.nullable(),
  version: programVersion.nullable(),
  protocol: protocolNumber.nullable(),
  /** Until when a token that was not used yet can be. */
  tokenExpiresAt: instant.nullable(),
})
/** What is known of an executor from its heartbeats; not history, so not as of a moment. */
export const executorPresence = z.object({
  lastSeen: instant.nullable(),
  capacity: z.int().nullable().describe('Target runs it does at once'),
  busy: z.int().nullable().describe('Target runs it had in hand when it was last heard'),
})

export type ExecutorCommand = MessageOf<typeof executorCommands & typeof executorInternalCommands>
export type ExecutorEvent = MessageOf<typeof executorEvents>
export type ExecutorRow = z.output<typeof executorRow>
export type EnrolmentRefusal = z.output<typeof refusal>
