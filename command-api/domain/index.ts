import { apiKey } from './api-key.ts'
import { artifact } from './artifact.ts'
import { breakGlass } from './break-glass.ts'
import { credential } from './credential.ts'
import { executor } from './executor.ts'
import { grant } from './grant.ts'
import { group } from './group.ts'
import { job } from './job.ts'
import { role } from './role.ts'
import { run } from './run.ts'
import { serviceAccount } from './service-account.ts'
import { session } from './session.ts'
import { sodRule } from './sod-rule.ts'
import { sodViolation } from './sod-violation.ts'
import { target } from './target.ts'
import { targetRun } from './target-run.ts'
import { user } from './user.ts'

export type { ApiKey, ApiKeyFacts } from './api-key.ts'
export type { BreakGlass } from './break-glass.ts'
export type { Credential, CredentialFacts } from './credential.ts'
export { isOthers } from './credential-owner.ts'
export { type Decider, DomainError, fold, type Message } from './decider.ts'
export type { Executor, ExecutorFacts, KnownExecutor } from './executor.ts'
export type { Grant } from './grant.ts'
export type { Group } from './group.ts'
export { type Job, type JobFacts, job } from './job.ts'
export type { ApprovalFacts } from './run-gates.ts'
export {
  type CredentialStanding,
  chosenSelection,
  chosenVersion,
  logsIn,
  MAX_DEPTH,
  MAX_TARGETS,
  type RunFacts,
  type SelectedTarget,
} from './run-request.ts'
export type { SafetyFacts, SafetyFinding } from './run-safety.ts'
export { isFinished, type KnownRun, type Run } from './run-state.ts'
export type { ServiceAccount, ServiceAccountFacts } from './service-account.ts'
export type { KnownSession, Session } from './session.ts'
export {
  type Act,
  exemptionsOf,
  findingsAboutAct,
  findingsAboutDuties,
  type Holding,
  type SodFinding,
  type SodOutcome,
  verdictOf,
} from './sod.ts'
export { type Target, target } from './target.ts'
export { nextAttempt, type Progress, remainingSteps, type TargetRun } from './target-run-state.ts'
export { erasesNow, linkIsGood, type UserFacts } from './user.ts'
export type { KnownUser, User } from './user-state.ts'

/** Every decider by its name, which is what `dispatch` is asked by. */
export const deciders = {
  target,
  credential,
  job,
  run,
  targetRun,
  executor,
  artifact,
  user,
  session,
  serviceAccount,
  apiKey,
  role,
  group,
  grant,
  sodRule,
  sodViolation,
  breakGlass,
} as const
export type Deciders = typeof deciders
export type DeciderName = keyof Deciders
export type CommandOf<N extends DeciderName> = Parameters<Deciders[N]['decide']>[0]
export type StateOf<N extends DeciderName> = Deciders[N]['initial']
export type FactsOf<N extends DeciderName> = Parameters<Deciders[N]['decide']>[3]
