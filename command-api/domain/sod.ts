import { matchesLabels, parseLabelExpression } from '../../schemas/label-expression.ts'
import type { Duty, PastAct, PresentAct, SodRuleRow } from '../../schemas/sod.ts'
import { DomainError } from './decider.ts'

/** A role as somebody holds it. */
export type Holding = { role: string; permissions: readonly string[] }
/** What somebody does now, and who did what about the same thing before. */
export type Act = {
  now: PresentAct
  person: string
  before: Readonly<Partial<Record<PastAct, readonly string[]>>>
  /** Tags of the targets it is about. */
  targets: ReadonlyArray<Readonly<Record<string, string>>>
}
/** Something a rule has against somebody. */
export type SodFinding = { rule: SodRuleRow; person: string; detail: string; as?: PastAct }
export type SodOutcome = 'blocked' | 'justified' | 'allowed' | 'exempt'

/** What rules have against a person who gets more roles; what there was before is not held against the new ones. */
export function findingsAboutDuties(
  rules: readonly SodRuleRow[],
  person: string,
  had: readonly Holding[],
  added: readonly Holding[],
): SodFinding[] {
  return rules.flatMap(rule => {
    const { conflict } = rule
    if (conflict.kind !== 'duties') return []
    const { first, second } = conflict
    for (const gained of added)
      for (const other of [...had, ...added])
        if (clash(first, second, gained, other) || clash(first, second, other, gained))
          return [{ rule, person, detail: `${nameOf(gained)} does not go together with ${nameOf(other)}` }]
    return []
  })
}

const nameOf = ({ role }: Holding) => `the role ${role}`

/** Administrators may do everything: that alone goes against nothing that is not said of a role by its name. */
function clash(first: Duty, second: Duty, one: Holding, other: Holding): boolean {
  const [a, b] = [match(first, one), match(second, other)]
  if (a === undefined || b === undefined) return false
  const everything = one.role === 'administrator' || other.role === 'administrator'
  return !everything || a === 'role' || b === 'role'
}

function match({ roles = [], permissions = [] }: Duty, holding: Holding): 'role' | 'permission' | undefined {
  if (roles.includes(holding.role)) return 'role'
  return holding.permissions.some(held => permissions.some(pattern => fits(pattern, held))) ? 'permission' : undefined
}

function fits(pattern: string, permission: string): boolean {
  const [kind, what] = pattern.split(':', 2)
  const [heldKind, held] = permission.split(':', 2)
  if (heldKind === 'self') return false
  return (kind === '*' || kind === heldKind) && (what === '*' || what === held)
}

/** What rules have against what somebody is about to do. */
export function findingsAboutAct(rules: readonly SodRuleRow[], act: Act): SodFinding[] {
  return rules.flatMap(rule => {
    const { conflict, targets } = rule
    if (conflict.kind !== 'acts' || conflict.now !== act.now || !holdsAt(targets, act.targets)) return []
    if (!act.before[conflict.before]?.includes(act.person)) return []
    return [{ rule, person: act.person, detail: acts[conflict.before], as: conflict.before }]
  })
}

const acts: Readonly<Record<PastAct, string>> = {
  author: 'wrote the job version',
  requester: 'asked for the run',
  'credential-writer': 'stored a credential that it uses',
}

function holdsAt(labels: string | null, targets: Act['targets']): boolean {
  const wanted = labels === null ? undefined : parseLabelExpression(labels)
  return labels === null || (wanted !== undefined && targets.some(tags => matchesLabels(wanted, tags)))
}

export type SodVerdict = {
  refused?: SodFinding
  /** What is recorded of what is let through. */
  told: ReadonlyArray<{ finding: SodFinding; outcome: SodOutcome }>
}

/**
 * What comes of it: the first rule that forbids it, else what is recorded of it. What was waived for the person says
 * nothing. Throws DomainError justification-needed.
 */
export function verdictOf(
  findings: readonly SodFinding[],
  isWaived: (finding: SodFinding) => boolean,
  justification: string | undefined,
): SodVerdict {
  const left = findings.filter(finding => !isWaived(finding))
  const refused = left.find(({ rule }) => rule.mode === 'block')
  if (refused) return { refused, told: [{ finding: refused, outcome: 'blocked' }] }
  const wanting = left.find(({ rule }) => rule.mode === 'justify')
  if (wanting && justification === undefined)
    throw new DomainError('justification-needed', `the rule ${wanting.rule.rule}: ${wanting.detail}`)
  return { told: left.map(finding => ({ finding, outcome: outcomeOf(finding) })) }
}

/** What is recorded of somebody whom no rule binds: all that a rule would have kept a person from. */
export function exemptionsOf(
  findings: readonly SodFinding[],
  isWaived: (finding: SodFinding) => boolean,
): SodVerdict['told'] {
  const against = findings.filter(finding => finding.rule.mode !== 'detect' && !isWaived(finding))
  return against.map(finding => ({ finding, outcome: 'exempt' }))
}

const outcomeOf = ({ rule }: SodFinding): SodOutcome => (rule.mode === 'justify' ? 'justified' : 'allowed')
