import type { PrincipalRef, Scope } from '../../schemas/access.ts'
import type { BreakGlassRow } from '../../schemas/break-glass.ts'
import type { GrantRow } from '../../schemas/grant.ts'
import type { GroupRow } from '../../schemas/group.ts'
import type { RoleRow } from '../../schemas/role.ts'
import type { AccountOwner } from '../../schemas/service-account.ts'
import type { SodRuleRow, SodViolationRow } from '../../schemas/sod.ts'

/** What a permission is asked about. `tags`: of a target; `jobId`: of a run and all that belongs to it. */
export type Resource = {
  kind: string
  id: string
  tags?: Readonly<Record<string, string>> | undefined
  jobId?: string | undefined
}

/** Where something is permitted; `all-of`: where each of these is, as for an API key that narrows its owner's grant. */
export type HeldScope = Scope | { kind: 'all-of'; of: readonly HeldScope[] }

/** A part of what its owner may do that an API key may do too. Without permissions: all of them. */
export type Allowance = { permissions?: readonly string[] | undefined; scope: Scope }

/** What is known of somebody to whom roles can be granted. Whoever is not known at all counts as active. */
export type PrincipalFacts = {
  active: boolean
  /** Milliseconds since 1970. */
  expiresAt?: number | undefined
  /** Of an API key: whose grants it uses. It stops when its owner does. */
  owner?: PrincipalRef | undefined
  /** Of a service account: who answers for it, unless it is on record that nobody does. Gives neither any right. */
  answering?: AccountOwner | undefined
  /** Of an API key: what of its owner's grants it may use; absent: all. */
  within?: readonly Allowance[] | undefined
}

/** What is folded into an AccessState: the category of the stream, and the state of what it is about. */
export type AccessRows = {
  role: RoleRow
  group: GroupRow
  grant: GrantRow
  sodrule: SodRuleRow
  sodviolation: SodViolationRow
  breakglass: BreakGlassRow
}
export type AccessKind = keyof AccessRows

/** One permission as somebody holds it. */
export type Held = {
  grantId: string
  role: string
  /** The group by which it came, or `break-glass`. */
  via?: string | undefined
  scope: HeldScope
  /** Milliseconds since 1970; infinite for one without end. */
  until: number
}
/** All that somebody holds, by permission. */
export type Rights = { active: boolean; until: number; held: ReadonlyMap<string, readonly Held[]> }

/** Who may do what, in memory. Changed in place; `version` grows with every change. */
export type AccessState = {
  version: number
  rows: { [K in AccessKind]: Map<string, AccessRows[K]> }
  /** By stream. */
  revisions: Map<string, bigint>
  principals: Map<string, PrincipalFacts>
  grantsOf: Map<string, Set<string>>
  groupsOf: Map<string, Set<string>>
  /** Uses of the emergency role, by principal. */
  breakGlassOf: Map<string, Set<string>>
  /** What was worked out since the last change. */
  rights: Map<string, Rights>
}

export type Judgement =
  | {
      allowed: true
      why: 'granted'
      grantId: string
      role: string
      via?: string | undefined
      until?: string | undefined
    }
  | { allowed: true; why: 'everybody' }
  | {
      allowed: false
      /** `outside-key`: its owner may, the key is narrowed to something else. */
      why: 'inactive' | 'not-granted' | 'out-of-scope' | 'expired' | 'outside-key'
    }

/** The name somebody has in the maps of an AccessState. */
export const principalKey = ({ kind, id }: { kind: string; id: string }): string => `${kind}:${id}`
