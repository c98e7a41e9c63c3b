import {
  evolveBreakGlass,
  evolveGrant,
  evolveGroup,
  evolveRole,
  evolveSodRule,
  evolveSodViolation,
} from '../../infra/access.ts'
import type { ApiKeyEvent } from '../../schemas/api-key.ts'
import type { BreakGlassEvent, BreakGlassRow } from '../../schemas/break-glass.ts'
import type { CredentialEvent, CredentialRow } from '../../schemas/credential.ts'
import { categoryOf, type Recorded } from '../../schemas/events.ts'
import type { ExecutorEvent, ExecutorRow } from '../../schemas/executor.ts'
import type { GrantEvent, GrantRow } from '../../schemas/grant.ts'
import type { GroupEvent, GroupRow } from '../../schemas/group.ts'
import type { JobEvent, JobRow } from '../../schemas/job.ts'
import type { RoleEvent, RoleRow } from '../../schemas/role.ts'
import type { ServiceAccountEvent, ServiceAccountRow } from '../../schemas/service-account.ts'
import type { SessionEvent, SessionRow } from '../../schemas/session.ts'
import type { SodRuleEvent, SodRuleRow, SodViolationEvent, SodViolationRow } from '../../schemas/sod.ts'
import type { TargetEvent, TargetRow } from '../../schemas/target.ts'
import type { UserEvent } from '../../schemas/user.ts'
import type { State } from '../diff.ts'
import { evolveCredential } from './credential.ts'
import { evolveExecutor } from './executor.ts'
import { evolveJob } from './job.ts'
import {
  type ApiKeyState,
  evolveApiKey,
  evolveServiceAccount,
  evolveSession,
  evolveUser,
  type UserState,
} from './principals.ts'
import { evolveTarget } from './target.ts'

/** What has versions: a state per revision, so that it can be seen as of any moment. */
const versionedKinds = [
  ...(['target', 'credential', 'job', 'executor'] as const),
  ...(['user', 'serviceaccount', 'apikey', 'session'] as const),
  ...(['role', 'group', 'grant'] as const),
  ...(['sodrule', 'sodviolation', 'breakglass'] as const),
]
export type ResourceKind = (typeof versionedKinds)[number]

const kinds: ReadonlySet<string> = new Set(versionedKinds)
export function resourceKind(event: Recorded): ResourceKind | undefined {
  const category = categoryOf(event.stream)
  // The set holds exactly the members of the union.
  return kinds.has(category) ? (category as ResourceKind) : undefined
}

export function resourceId(kind: ResourceKind, stream: string): string {
  return stream.slice(kind.length + 1)
}

/** The state after the event. The category of a stream says which events are in it, hence the narrowing by hand. */
export function evolveResource(kind: ResourceKind, before: State | undefined, event: Recorded): State {
  switch (kind) {
    case 'target':
      return evolveTarget(before as TargetRow | undefined, event as TargetEvent)
    case 'credential':
      return evolveCredential(before as CredentialRow | undefined, event as Recorded<CredentialEvent>)
    case 'job':
      return evolveJob(before as JobRow | undefined, event as JobEvent)
    case 'executor':
      return evolveExecutor(before as ExecutorRow | undefined, event as ExecutorEvent)
    case 'user':
      return evolveUser(before as UserState | undefined, event as UserEvent, event.metadata)
    case 'serviceaccount':
      return evolveServiceAccount(before as ServiceAccountRow | undefined, event as ServiceAccountEvent)
    case 'apikey':
      return evolveApiKey(before as ApiKeyState | undefined, event as ApiKeyEvent)
    case 'session':
      return evolveSession(before as SessionRow | undefined, event as SessionEvent, event.metadata)
    case 'role':
      return evolveRole(before as RoleRow | undefined, event as RoleEvent)
    case 'group':
      return evolveGroup(before as GroupRow | undefined, event as GroupEvent)
    case 'grant':
      return evolveGrant(before as GrantRow | undefined, event as GrantEvent)
    case 'sodrule':
      return evolveSodRule(before as SodRuleRow | undefined, event as SodRuleEvent)
    case 'sodviolation':
      return evolveSodViolation(before as SodViolationRow | undefined, event as SodViolationEvent)
    case 'breakglass':
      return evolveBreakGlass(before as BreakGlassRow | undefined, event as BreakGlassEvent, event.metadata)
  }
}

/** A job or credential whose first version is still to come is not shown yet. */
export const isVisible = (state: State): boolean => state.latestVersion !== 0
