import { type AccessState, grantsOf, permissionsOf, personOf, principalKey } from '../../infra/access.ts'
import { derivedId } from '../../infra/ids.ts'
import type { PrincipalRef } from '../../schemas/access.ts'
import type { Meta } from '../../schemas/kernel.ts'
import { ProblemError } from '../../schemas/problems.ts'
import { builtInSodRules, type PresentAct, type SodRuleRow } from '../../schemas/sod.ts'
import type { Dispatcher } from '../dispatch.ts'
import {
  type CommandOf,
  exemptionsOf,
  findingsAboutDuties,
  type Grant,
  type Group,
  type Holding,
  type SodFinding,
  type SodOutcome,
  verdictOf,
} from '../domain/index.ts'

export type SodDeps = { dispatcher: Dispatcher; access: { readonly state: AccessState } }
export type About = { kind: string; id: string }

/** The rules that hold now. */
export function rulesIn(state: AccessState): SodRuleRow[] {
  const changed = state.rows.sodrule
  const builtIn = builtInSodRules.map(rule => changed.get(rule.rule) ?? rule)
  const own = [...changed.values()].filter(rule => !rule.builtIn)
  return [...builtIn, ...own].filter(({ status }) => status === 'active')
}

/** Those of them that say anything about this act; what only records says nothing about a key of the key file. */
export function rulesAbout(state: AccessState, now: PresentAct, { actor }: Meta): SodRuleRow[] {
  const isPerson = personOf(state, actor) !== undefined
  return rulesIn(state).filter(
    ({ conflict, mode }) => conflict.kind === 'acts' && conflict.now === now && (isPerson || mode !== 'detect'),
  )
}

/** One stream for each rule and person. */
export const violationId = (rule: string, person: string): string => derivedId('sod-violation', rule, person)

/**
 * Judges what was found and records it: what is let through before it is done, what is forbidden before it is refused.
 * Answers the finding that forbids it. Throws DomainError justification-needed, EventStoreUnavailable.
 */
export async function judgeFindings(
  { dispatcher, access }: SodDeps,
  findings: readonly SodFinding[],
  about: About,
  meta: Meta,
): Promise<SodFinding | undefined> {
  if (findings.length === 0) return undefined
  const { refused, told } = verdictOf(findings, waivedIn(access.state, meta), meta.justification)
  for (const { finding, outcome } of told) await report(dispatcher, finding, outcome, about, meta)
  return refused
}

const waivedIn =
  (state: AccessState, { at }: Meta) =>
  ({ rule, person }: SodFinding): boolean => {
    const until = state.rows.sodviolation.get(violationId(rule.rule, person))?.waivedUntil
    return typeof until === 'string' && Date.parse(until) > Date.parse(at)
  }

/**
 * The same of what somebody does themselves. Keys of the key file are for when nobody else is there: rules do not keep
 * them from anything, and each of those acts is recorded with the rule, before it is done.
 */
export async function judgeAct(
  deps: SodDeps,
  findings: readonly SodFinding[],
  about: About,
  meta: Meta,
): Promise<SodFinding | undefined> {
  const { dispatcher, access } = deps
  if (personOf(access.state, meta.actor)) return await judgeFindings(deps, findings, about, meta)
  for (const { finding, outcome } of exemptionsOf(findings, waivedIn(access.state, meta)))
    await report(dispatcher, finding, outcome, about, meta)
  return undefined
}

async function report(
  dispatcher: Dispatcher,
  { rule: { rule, mode }, person, detail }: SodFinding,
  outcome: SodOutcome,
  about: About,
  meta: Meta,
): Promise<void> {
  const data = { violationId: violationId(rule, person), rule, person, mode, outcome, about, detail }
  const commandId = derivedId('sod-report', meta.commandId, rule, person)
  const told = { ...meta, commandId, $causationId: meta.commandId }
  await dispatcher.dispatch('sodViolation', { type: 'report-sod-violation', data }, { meta: told, facts: undefined })
}

/** @throws ProblemError sod-conflict, and what judgeAct throws. */
export async function forbidAct(
  deps: SodDeps,
  findings: readonly SodFinding[],
  about: About,
  meta: Meta,
): Promise<void> {
  forbid(await judgeAct(deps, findings, about, meta))
}

async function forbidDuties(deps: SodDeps, findings: readonly SodFinding[], about: About, meta: Meta): Promise<void> {
  forbid(await judgeFindings(deps, findings, about, meta))
}

function forbid(refused: SodFinding | undefined): void {
  if (refused)
    throw new ProblemError('sod-conflict', `the rule ${refused.rule.rule}: ${refused.person} ${refused.detail}`)
}

const holdingsOf = (state: AccessState, who: PrincipalRef, now: number): Holding[] =>
  grantsOf(state, who)
    .filter(({ until }) => until > now)
    .map(({ role }) => ({ role, permissions: permissionsOf(state, role) }))

/** Somebody gets a role, or everybody in a group does. */
export async function checkGrant(deps: SodDeps, command: CommandOf<'grant'>, before: Grant, meta: Meta): Promise<void> {
  if (command.type !== 'grant-role' || before.status !== 'absent') return
  const { state } = deps.access
  const { principal, role, grantId } = command.data
  const added = [{ role, permissions: permissionsOf(state, role) }]
  const group = principal.kind === 'group' ? state.rows.group.get(principal.id) : undefined
  const people = group?.members ?? [personOf(state, principal as { kind: 'user'; id: string }) ?? principal]
  const findings = people.flatMap(who => against(state, who, added, meta))
  await forbidDuties(deps, findings, { kind: 'grant', id: grantId }, meta)
}

/** Somebody joins those who have roles. */
export async function checkMember(
  deps: SodDeps,
  command: CommandOf<'group'>,
  before: Group,
  meta: Meta,
): Promise<void> {
  if (command.type !== 'add-to-group' || before.status === 'absent') return
  const { groupId, member } = command.data
  if (before.members.some(each => principalKey(each) === principalKey(member))) return
  const { state } = deps.access
  const added = holdingsOf(state, { kind: 'group', id: groupId }, Date.parse(meta.at))
  await forbidDuties(deps, against(state, member, added, meta), { kind: 'group', id: groupId }, meta)
}

function against(state: AccessState, who: PrincipalRef, added: readonly Holding[], meta: Meta): SodFinding[] {
  return findingsAboutDuties(rulesIn(state), principalKey(who), holdingsOf(state, who, Date.parse(meta.at)), added)
}
