import type { ApiKeyEvent } from '../../schemas/api-key.ts'
import type { BreakGlassEvent } from '../../schemas/break-glass.ts'
import { categoryOf, type Recorded } from '../../schemas/events.ts'
import type { GrantEvent } from '../../schemas/grant.ts'
import type { GroupEvent, GroupRow } from '../../schemas/group.ts'
import type { RoleEvent } from '../../schemas/role.ts'
import type { ServiceAccountEvent } from '../../schemas/service-account.ts'
import type { SodRuleEvent, SodViolationEvent } from '../../schemas/sod.ts'
import type { UserEvent } from '../../schemas/user.ts'
import {
  apiKeyAfter,
  factsOfRow,
  type PrincipalCategory,
  type PrincipalRows,
  principalKinds,
  serviceAccountAfter,
  userAfter,
} from './principals.ts'
import { evolveGrant, evolveGroup, evolveRole } from './rows.ts'
import { evolveBreakGlass, evolveSodRule, evolveSodViolation } from './sod-rows.ts'
import { type AccessKind, type AccessRows, type AccessState, type PrincipalFacts, principalKey } from './types.ts'

const rowKinds: ReadonlySet<string> = new Set<AccessKind>([
  ...(['role', 'group', 'grant', 'sodrule', 'sodviolation', 'breakglass'] as const),
])
const isRowKind = (category: string): category is AccessKind => rowKinds.has(category)
const isPrincipalCategory = (category: string): category is PrincipalCategory => Object.hasOwn(principalKinds, category)

/** The stream categories an AccessState is made of. */
export const accessKinds = [
  ...(['role', 'group', 'grant', 'sodrule', 'sodviolation', 'breakglass'] as const),
  ...(['user', 'serviceaccount', 'apikey'] as const),
] as const
export type AccessCategory = (typeof accessKinds)[number]

/** Nobody may do anything yet. */
export function createAccessState(): AccessState {
  return {
    version: 0,
    rows: {
      ...{ role: new Map(), group: new Map(), grant: new Map() },
      ...{ sodrule: new Map(), sodviolation: new Map(), breakglass: new Map() },
    },
    revisions: new Map(),
    principals: new Map(),
    grantsOf: new Map(),
    groupsOf: new Map(),
    breakGlassOf: new Map(),
    rights: new Map(),
  }
}

/**
 * Takes in one event. Events of a stream count in order: one that is known is passed over, one whose predecessor is
 * not known yet is left for whoever reads the log. Answers whether it was taken in.
 */
export function applyEvent(state: AccessState, event: Recorded): boolean {
  const { stream, revision } = event
  const category = categoryOf(stream)
  if (!isRowKind(category) && !isPrincipalCategory(category)) return false
  if (revision !== (state.revisions.get(stream) ?? -1n) + 1n) return false
  const id = stream.slice(category.length + 1)
  if (isRowKind(category)) putRow(state, category, { id, revision, row: evolved(state, category, id, event) })
  else {
    state.revisions.set(stream, revision)
    const who = { kind: principalKinds[category], id }
    const facts = factsAfter(state.principals.get(principalKey(who)), category, event)
    if (facts) putPrincipal(state, who, facts)
  }
  return true
}

function factsAfter(
  before: PrincipalFacts | undefined,
  category: PrincipalCategory,
  event: Recorded,
): PrincipalFacts | undefined {
  switch (category) {
    case 'user':
      return userAfter(event as UserEvent)
    case 'serviceaccount':
      return serviceAccountAfter(before, event as ServiceAccountEvent)
    case 'apikey':
      return apiKeyAfter(before, event as ApiKeyEvent)
  }
}

/** What a read model says a resource is now, in the place of what it was. The kind says which row it is. */
export function putVersion(state: AccessState, kind: AccessCategory, version: Version): void {
  const { id, revision, state: row } = version
  if (isRowKind(kind)) {
    putRow(state, kind, { id, revision, row: row as AccessRows[AccessKind] })
    return
  }
  state.revisions.set(`${kind}-${id}`, revision)
  const facts = factsOfRow(row as PrincipalRows[PrincipalCategory])
  putPrincipal(state, { kind: principalKinds[kind], id }, facts)
}
type Version = { id: string; revision: bigint; state: object }

/** The category of a stream says which events are in it, hence the narrowing by hand. */
function evolved(state: AccessState, kind: AccessKind, id: string, event: Recorded): AccessRows[AccessKind] {
  switch (kind) {
    case 'role':
      return evolveRole(state.rows.role.get(id), event as RoleEvent)
    case 'group':
      return evolveGroup(state.rows.group.get(id), event as GroupEvent)
    case 'grant':
      return evolveGrant(state.rows.grant.get(id), event as GrantEvent)
    case 'sodrule':
      return evolveSodRule(state.rows.sodrule.get(id), event as SodRuleEvent)
    case 'sodviolation':
      return evolveSodViolation(state.rows.sodviolation.get(id), event as SodViolationEvent)
    case 'breakglass':
      return evolveBreakGlass(state.rows.breakglass.get(id), event as BreakGlassEvent, event.metadata)
  }
}

function putRow(
  state: AccessState,
  kind: AccessKind,
  { id, revision, row }: { id: string; revision: bigint; row: AccessRows[AccessKind] },
): void {
  state.revisions.set(`${kind}-${id}`, revision)
  if ('permissions' in row) state.rows.role.set(id, row)
  else if ('members' in row) putGroup(state, row)
  else if ('conflict' in row) state.rows.sodrule.set(id, row)
  else if ('violationId' in row) state.rows.sodviolation.set(id, row)
  else if ('breakGlassId' in row) {
    state.rows.breakglass.set(id, row)
    add(state.breakGlassOf, principalKey(row.principal), id)
  } else {
    state.rows.grant.set(id, row)
    add(state.grantsOf, principalKey(row.principal), id)
  }
  changed(state)
}

function putGroup(state: AccessState, row: GroupRow): void {
  const before = state.rows.group.get(row.groupId)
  for (const member of before?.members ?? []) state.groupsOf.get(principalKey(member))?.delete(row.groupId)
  for (const member of row.members) add(state.groupsOf, principalKey(member), row.groupId)
  state.rows.group.set(row.groupId, row)
}

/** Says what is known of somebody: whether they are active, and whose grants a key uses. */
export function putPrincipal(state: AccessState, who: { kind: string; id: string }, facts: PrincipalFacts): void {
  state.principals.set(principalKey(who), facts)
  changed(state)
}

function changed(state: AccessState): void {
  state.version += 1
  state.rights.clear()
}

function add(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key) ?? new Set()
  index.set(key, ids.add(id))
}

/** The same for trying something out: what is put there does not show here. */
export function copyOf(state: AccessState): AccessState {
  const sets = (index: Map<string, Set<string>>) => new Map([...index].map(([key, ids]) => [key, new Set(ids)]))
  const { role, group, grant, sodrule, sodviolation, breakglass } = state.rows
  return {
    version: state.version,
    rows: {
      ...{ role: new Map(role), group: new Map(group), grant: new Map(grant) },
      ...{ sodrule: new Map(sodrule), sodviolation: new Map(sodviolation), breakglass: new Map(breakglass) },
    },
    revisions: new Map(state.revisions),
    principals: new Map(state.principals),
    grantsOf: sets(state.grantsOf),
    groupsOf: sets(state.groupsOf),
    breakGlassOf: sets(state.breakGlassOf),
    rights: new Map(),
  }
}
