import { type ApiKeyEvent, apiKeyEvents } from './api-key.ts'
import { type ArtifactEvent, artifactEvents } from './artifact.ts'
import { type BreakGlassEvent, breakGlassEvents } from './break-glass.ts'
import { type CommandRecordEvent, commandEvents } from './command-record.ts'
import { type CredentialEvent, credentialEvents, type ReleaseEvent, releaseEvents } from './credential.ts'
import { type ExecutorEvent, executorEvents } from './executor.ts'
import { type GrantEvent, grantEvents } from './grant.ts'
import { type GroupEvent, groupEvents } from './group.ts'
import { type JobEvent, jobEvents } from './job.ts'
import { type KekEvent, kekEvents } from './kek.ts'
import type { EventMetadata, SchemaMap } from './kernel.ts'
import { type RefusalEvent, refusalEvents } from './refusal.ts'
import { type RoleEvent, roleEvents } from './role.ts'
import { type RunEvent, runEvents } from './run.ts'
import { type ServiceAccountEvent, serviceAccountEvents } from './service-account.ts'
import { type SessionEvent, type SignInEvent, sessionEvents, signInEvents } from './session.ts'
import { type SodRuleEvent, type SodViolationEvent, sodRuleEvents, sodViolationEvents } from './sod.ts'
import { type TargetEvent, targetEvents } from './target.ts'
import { type TargetRunEvent, targetRunEvents } from './target-run.ts'
import { type UserEvent, userEvents } from './user.ts'

/** Event schemas by stream category: the part of a stream's name before its first dash. */
export const eventsByCategory = {
  target: targetEvents,
  credential: credentialEvents,
  release: releaseEvents,
  job: jobEvents,
  executor: executorEvents,
  run: runEvents,
  targetrun: targetRunEvents,
  command: commandEvents,
  artifact: artifactEvents,
  refusal: refusalEvents,
  user: userEvents,
  serviceaccount: serviceAccountEvents,
  apikey: apiKeyEvents,
  session: sessionEvents,
  signin: signInEvents,
  role: roleEvents,
  group: groupEvents,
  grant: grantEvents,
  kek: kekEvents,
  sodrule: sodRuleEvents,
  sodviolation: sodViolationEvents,
  breakglass: breakGlassEvents,
} as const satisfies Record<string, SchemaMap>
export type StreamCategory = keyof typeof eventsByCategory

export const eventSchemas: SchemaMap = Object.assign({}, ...Object.values(eventsByCategory))

export type AnyEvent =
  | TargetEvent
  | CredentialEvent
  | ReleaseEvent
  | JobEvent
  | ExecutorEvent
  | RunEvent
  | TargetRunEvent
  | CommandRecordEvent
  | ArtifactEvent
  | RefusalEvent
  | UserEvent
  | ServiceAccountEvent
  | ApiKeyEvent
  | SessionEvent
  | SignInEvent
  | RoleEvent
  | GroupEvent
  | GrantEvent
  | KekEvent
  | SodRuleEvent
  | SodViolationEvent
  | BreakGlassEvent

/** A position in `$all`. On the embedded node both numbers are equal; on a cluster they may differ. */
export type LogPosition = { commit: bigint; prepare: bigint }

/** An event as it is read from the log, already upcast to the newest version of its type. */
export type Recorded<E = AnyEvent> = E & {
  id: string
  stream: string
  revision: bigint
  position: LogPosition
  recordedAt: string
  metadata: EventMetadata
}

/** The category of a stream: `targetrun-0192….3` is `targetrun`. */
export function categoryOf(stream: string): string {
  const dash = stream.indexOf('-')
  return dash === -1 ? stream : stream.slice(0, dash)
}

/** Stream names. Ids keep their dashes after the first one; the category has none. */
export const streams = {
  target: (targetId: string) => `target-${targetId}`,
  credential: (credentialId: string) => `credential-${credentialId}`,
  job: (jobId: string) => `job-${jobId}`,
  executor: (executorId: string) => `executor-${executorId}`,
  run: (runId: string) => `run-${runId}`,
  targetRun: (runId: string, n: number) => `targetrun-${runId}.${n}`,
  release: (runId: string, n: number) => `release-${runId}.${n}`,
  command: (commandId: string) => `command-${commandId}`,
  artifact: (sha256: string) => `artifact-${sha256}`,
  refusal: (refusalId: string) => `refusal-${refusalId}`,
  user: (userId: string) => `user-${userId}`,
  serviceAccount: (serviceAccountId: string) => `serviceaccount-${serviceAccountId}`,
  apiKey: (keyId: string) => `apikey-${keyId}`,
  session: (sessionId: string) => `session-${sessionId}`,
  signIn: (attemptId: string) => `signin-${attemptId}`,
  role: (role: string) => `role-${role}`,
  group: (groupId: string) => `group-${groupId}`,
  grant: (grantId: string) => `grant-${grantId}`,
  kek: (kekId: string) => `kek-${kekId}`,
  sodRule: (rule: string) => `sodrule-${rule}`,
  sodViolation: (violationId: string) => `sodviolation-${violationId}`,
  breakGlass: (breakGlassId: string) => `breakglass-${breakGlassId}`,
} as const
