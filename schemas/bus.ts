import { z } from 'zod'
import { credentialKind, sealed, usableSecret } from './credential.ts'
import { programVersion, protocolNumber, publicKey } from './executor.ts'
import { poolName } from './job.ts'
import { base64, id, instant, name, sha256, tags } from './kernel.ts'
import { stepRunId } from './steps/base.ts'
import { renderedStep, shellVariables } from './steps/index.ts'
import { address, port } from './target.ts'
import {
  attempt,
  epoch,
  executorId,
  hostKeyExpectation,
  n,
  outputStream,
  stepSecret,
  targetRunCommands,
} from './target-run.ts'

/** Subjects. Ids are checked before they become part of one (no dots, wildcards or blanks). */
export const subjects = {
  pull: (pool: string) => `opsc.dispatch.v1.pull.${pool}`,
  pullAll: 'opsc.dispatch.v1.pull.*',
  enrol: 'opsc.enrol.v1',
  heartbeat: (executor: string) => `opsc.executor.v1.heartbeat.${executor}`,
  heartbeatAll: 'opsc.executor.v1.heartbeat.*',
  report: (executor: string) => `opsc.report.v1.${executor}`,
  reportAll: 'opsc.report.v1.*',
  output: (executor: string) => `opsc.output.v1.${executor}`,
  outputAll: 'opsc.output.v1.*',
  control: (executor: string) => `opsc.control.v1.${executor}`,
  artifactPut: (executor: string) => `opsc.artifact.v1.put.${executor}`,
  artifactPutAll: 'opsc.artifact.v1.put.*',
  artifactGet: (executor: string) => `opsc.artifact.v1.get.${executor}`,
  artifactGetAll: 'opsc.artifact.v1.get.*',
  vaultPublicKey: 'opsc.vault.v1.public-key',
  vaultSeal: 'opsc.vault.v1.seal',
  vaultRelease: 'opsc.vault.v1.release',
  vaultSignIn: 'opsc.vault.v1.sign-in',
  /** The query API lets the command API tell the log that an API key was used. */
  keyUsed: 'opsc.access.v1.key-used',
  /** Rights, sessions and keys that have just ended: the command API tells, as the log does. */
  revoked: 'opsc.access.v1.revoked',
  /** Asked by whoever may have missed some of them; answered with the newest. */
  revocations: 'opsc.access.v1.revocations',
  /** What has been stored durably and may be shown live. */
  live: (runId: string) => `opsc.live.v1.${runId}`,
  /** A role without the event store asks to record that it turned a request away. */
  refused: 'opsc.refused.v1',
  /** Read models have reached a position. */
  projected: 'opsc.feed.v1.projected',
} as const

const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/)

/** The protocol between executors and control plane that this program speaks. */
export const PROTOCOL = 1
/** Those a control plane of this version works with: an executor may be older or newer than it. */
export const supportedProtocols: ReadonlySet<number> = new Set([PROTOCOL])

/**
 * An executor that is let in for the first time shows the token it was given and the key it will sign with.
 * `signature`: Ed25519 by that key over `opsconductor enrol|<executorId>|<publicKey>|<version>|<protocol>|<token>`.
 */
export const enrolRequest = z.object({
  executorId,
  token: z.string().min(20).max(200),
  publicKey,
  version: programVersion,
  protocol: protocolNumber,
  signature: base64url,
})
/** `refused` is final for this token; without an answer it is asked again. */
export const enrolReply = z.discriminatedUnion('status', [
  z.strictObject({ status: z.literal('enrolled'), pool: poolName, labels: tags }),
  z.strictObject({ status: z.literal('refused'), code: z.string(), detail: z.string() }),
])

/**
 * An executor asks for work; the dispatcher answers when it has some, or with none after `waitMs`. Unknown fields are
 * let through, so that a newer executor is told which protocol it should speak instead of which field is wrong.
 * `signature`: Ed25519 by the enrolled key over `opsconductor pull|<executorId>|<instanceId>|<at>|<slots>|<pool>`;
 * `at` is within a minute of the control plane's clock and later than in every request before.
 */
export const pullRequest = z.object({
  executorId,
  /** New at every start of the executor's process: tells a restart from a pause. */
  instanceId: id,
  publicKey,
  slots: z.int().min(1).max(1024),
  waitMs: z.int().min(0).max(30_000),
  labels: z.record(z.string(), z.string()).default({}),
  version: programVersion,
  protocol: protocolNumber,
  at: instant,
  signature: base64url,
})
export const assignment = z.strictObject({
  runId: id,
  n,
  epoch,
  leaseSeconds: z.int().min(1),
  target: z.strictObject({ targetId: id, name, address, port, hostKey: hostKeyExpectation }),
  /** Absent when nothing that is left to do logs in to the target. */
  credential: z
    .strictObject({ credentialId: id, version: z.int().min(1), kind: credentialKind, username: z.string() })
    .optional(),
  /** What its steps read from standard input; each is asked of the vault once its step has been started. */
  secrets: z.array(stepSecret).min(1).optional(),
  /** What is left to do, in order: a target run that was taken over does not repeat the steps that are over. */
  steps: z.array(renderedStep).min(1),
  /** Asked first: whether this step, whose outcome nobody knows, took effect. */
  verify: z
    .strictObject({ stepId: stepRunId, attempt, check: z.string().max(32_768), variables: shellVariables.optional() })
    .optional(),
  connectSeconds: z.int().min(1).optional(),
  /** What the safety checks are asked with: each command is judged once more just before it takes effect. */
  safety: z.strictObject({
    environment: z.string().max(500).optional(),
    /** Of the whole run. */
    targets: z.int().min(1),
    /** Rules a person has confirmed for this run. */
    confirmed: z.array(z.string()),
  }),
  /** The number the next attempt of a step carries; a step that is not named here was never started: 1. */
  attempts: z.record(stepRunId, attempt).default({}),
})
export const pullReply = z.strictObject({ assignments: z.array(assignment) })

export const heartbeat = z.strictObject({
  executorId,
  instanceId: id,
  active: z.array(z.strictObject({ runId: id, n, epoch })).max(2048),
  /** How many target runs it does at once. */
  capacity: z.int().min(1).max(1024).optional(),
})
/** `cancel`: stop these; `forget`: these are no longer yours (lease expired), stop without reporting success. */
export const heartbeatReply = z.strictObject({
  cancel: z.array(z.strictObject({ runId: id, n, epoch })),
  forget: z.array(z.strictObject({ runId: id, n, epoch })),
  /** Stop these steps if they are the ones that run. */
  cancelSteps: z.array(z.strictObject({ runId: id, n, epoch, stepId: stepRunId })).optional(),
  /** Of paused runs: end the running step and give the rest back. */
  handBack: z.array(z.strictObject({ runId: id, n, epoch })).optional(),
  /** Where it is to ask for work from now on. */
  pool: poolName.optional(),
})
/**
 * Headers of a heartbeat and its answer. Payloads are strict: a program that does not know a field refuses all of it, so
 * what came to the protocol later travels beside it, where an older program takes no notice.
 */
export const heartbeatHeaders = {
  /**
   * Another one than before means that answers may have got lost: what is not answered is to be sent again. With a
   * heartbeat, the last one heard: whoever has heard it has heard what was sent before.
   */
  session: 'opsc-session',
  /** `yes` or `no`: whether a question of this process for work waits for its answer. */
  asking: 'opsc-asking',
} as const
export const order = z.strictObject({
  /** `hand-back`: the running step may end, the rest is given back. */
  kind: z.enum(['cancel', 'cancel-step', 'hand-back']),
  runId: id,
  n,
  epoch,
  /** With `cancel-step`: only if this step is the one that runs. */
  stepId: stepRunId.optional(),
})
/** `hello`: the control plane has begun, or begun again, to listen, and wants to hear a heartbeat. */
export const control = z.discriminatedUnion('kind', [order, z.strictObject({ kind: z.literal('hello') })])

const report = <T extends keyof typeof targetRunCommands>(type: T) =>
  z.strictObject({ type: z.literal(type), data: targetRunCommands[type] })
/**
 * A report is a command on the target run plus who sends it; `reportId` is its command id, so that a report sent
 * twice is recorded once. Host key reports go to the target.
 */
export const reportBody = z.discriminatedUnion('type', [
  report('start-step'),
  report('succeed-step'),
  report('fail-step'),
  report('fail-target-run'),
  report('report-step-lost'),
  report('report-cancelled'),
  report('hand-back-target-run'),
  report('report-output-gap'),
  report('report-check'),
  z.strictObject({
    type: z.literal('observe-host-key'),
    data: z.strictObject({ runId: id, n, epoch, targetId: id, hostKey: z.string().max(2048) }),
  }),
  z.strictObject({
    type: z.literal('report-host-key-mismatch'),
    data: z.strictObject({ runId: id, n, epoch, targetId: id, presented: z.string().max(2048) }),
  }),
])
export const reportMessage = z.strictObject({
  reportId: id,
  executorId,
  instanceId: id,
  sentAt: instant,
  report: reportBody,
})
/**
 * `recorded`: appended (or was already there). `stale`: the epoch is over; recorded as such, drop it.
 * `refused`: the state does not allow it (a step to start was already started, the run is cancelled …); do not do it.
 * No answer: keep it in the spool and send it again.
 */
export const reportReply = z.strictObject({
  status: z.enum(['recorded', 'stale', 'refused']),
  code: z.string().optional(),
  detail: z.string().optional(),
})

/** One chunk of masked output, in the order it was read. `seq` counts from 1 over both streams of the attempt. */
export const outputChunk = z.strictObject({
  runId: id,
  n,
  stepId: stepRunId,
  attempt,
  epoch,
  seq: z.int().min(1),
  stream: outputStream,
  /** Offset of the first byte in the attempt's whole output, both streams together. */
  byteOffset: z.int().min(0),
  at: instant,
  data: base64,
})
export const outputBatch = z.strictObject({ executorId, chunks: z.array(outputChunk).min(1).max(256) })
export const outputReply = z.strictObject({ stored: z.int().min(0) })
/** Chunks as they were stored, with the run-wide sequence a reader resumes by. */
export const liveOutput = z.strictObject({
  kind: z.literal('output'),
  chunks: z.array(outputChunk.extend({ outputSeq: z.string() })),
})
export const projected = z.strictObject({ commit: z.string(), prepare: z.string(), runIds: z.array(id).optional() })

/** Every chunk of an artifact but its last is this long, so that the place of a byte follows from its number. */
export const ARTIFACT_CHUNK_BYTES = 512 * 1024
export const ARTIFACT_MAX_BYTES = 1024 * 1024 * 1024
const artifactData = z.base64().max(Math.ceil(ARTIFACT_CHUNK_BYTES / 3) * 4)

/**
 * A file on its way into the artifact store: its chunks, numbered from 0, in any order and any number of times, then
 * `finish`, which checks the whole by its SHA-256. `uploadId` is the sender's choice.
 */
export const artifactPut = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('chunk'),
    executorId,
    uploadId: id,
    index: z
      .int()
      .min(0)
      .max(Math.ceil(ARTIFACT_MAX_BYTES / ARTIFACT_CHUNK_BYTES) - 1),
    data: artifactData,
  }),
  z.strictObject({
    kind: z.literal('finish'),
    executorId,
    uploadId: id,
    bytes: z.int().min(0).max(ARTIFACT_MAX_BYTES),
    sha256,
  }),
])
export const artifactPutReply = z.union([
  z.strictObject({ stored: z.literal(true) }),
  z.strictObject({ error: z.enum(['too-large', 'quota', 'mismatch', 'incomplete', 'forbidden']), detail: z.string() }),
])
export const artifactGet = z.strictObject({ executorId, sha256, index: z.int().min(0) })
/** One chunk, and the length of the whole. */
export const artifactGetReply = z.union([
  z.strictObject({ bytes: z.int().min(0), data: artifactData }),
  z.strictObject({ error: z.literal('not-found'), detail: z.string() }),
])

export const keyUsed = z.strictObject({ keyId: id })

export const vaultPublicKey = z.strictObject({ keyId: z.string(), publicKey: base64url })
/**
 * A new secret on its way into the vault: HPKE (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM) to the vault's public
 * key, `info` = `opsconductor seal|<credentialId>|<version>`, plaintext = JSON of `secretMaterial`.
 */
export const sealRequest = z.strictObject({
  credentialId: id,
  version: z.int().min(1),
  kind: credentialKind,
  keyId: z.string(),
  enc: base64url,
  ciphertext: base64url,
})
const vaultError = z.strictObject({ error: z.string(), detail: z.string() })
export const sealReply = z.union([sealed, vaultError])
/**
 * The claiming executor asks for a secret: the one to log in with, or with `stepId` the one that this step reads.
 * `signature`: Ed25519 by the key named in the claim over
 * `opsconductor release|<runId>|<n>|<epoch>|<credentialId>|<version>|<ephemeralKey>`. The answer is HPKE to
 * `ephemeralKey` with `info` = `opsconductor release|<runId>|<n>|<epoch>|<executorId>|<credentialId>|<version>`. Both
 * texts go on with `|<stepId>` where there is one.
 */
export const releaseRequest = z.strictObject({
  runId: id,
  n,
  epoch,
  executorId,
  credentialId: id,
  version: z.int().min(1),
  stepId: stepRunId.optional(),
  ephemeralKey: base64url,
  signature: base64url,
})
export const releaseReply = z.union([z.strictObject({ enc: base64url, ciphertext: base64url }), vaultError])
export const releasedSecret = usableSecret

export type EnrolRequest = z.output<typeof enrolRequest>
export type EnrolReply = z.output<typeof enrolReply>
export type PullRequest = z.output<typeof pullRequest>
export type PullReply = z.output<typeof pullReply>
export type Assignment = z.output<typeof assignment>
export type Heartbeat = z.output<typeof heartbeat>
export type HeartbeatReply = z.output<typeof heartbeatReply>
export type Order = z.output<typeof order>
export type Control = z.output<typeof control>
export type ReportMessage = z.output<typeof reportMessage>
export type ReportReply = z.output<typeof reportReply>
export type OutputChunk = z.output<typeof outputChunk>
export type OutputBatch = z.output<typeof outputBatch>
export type OutputReply = z.output<typeof outputReply>
export type ArtifactPut = z.output<typeof artifactPut>
export type ArtifactPutReply = z.output<typeof artifactPutReply>
export type ArtifactGet = z.output<typeof artifactGet>
export type ArtifactGetReply = z.output<typeof artifactGetReply>
export type LiveOutput = z.output<typeof liveOutput>
export type SealRequest = z.output<typeof sealRequest>
export type ReleaseRequest = z.output<typeof releaseRequest>
