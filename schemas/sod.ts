import { z } from 'zod'
import { description, type principal } from './access.ts'
import { id, instant, line, type MessageOf, reason } from './kernel.ts'
import { labelExpression } from './label-expression.ts'

export const sodRuleName = z.string().regex(/^[a-z][a-z0-9-]{1,39}$/, 'lower-case letters, digits and -')
/** `block` refuses, `justify` asks for an X-Justification and records it, `detect` lets it pass and records it. */
export const sodMode = z.enum(['block', 'justify', 'detect'])
export type SodMode = z.output<typeof sodMode>

/** Roles by name, or whatever roles have one of these permissions; `*:write` is that on anything. */
const duty = z
  .strictObject({
    roles: z.array(line(60)).min(1).max(50).optional(),
    permissions: z
      .array(z.string().regex(/^(?:\*|[a-z-]{1,40}):(?:\*|[a-z-]{1,40})$/, 'such as role:write or *:write'))
      .min(1)
      .max(100)
      .optional(),
  })
  .refine(({ roles, permissions }) => roles !== undefined || permissions !== undefined, 'name roles or permissions')
export type Duty = z.output<typeof duty>

/** Who somebody was before: of the job version, of the run, of a credential that it uses. */
export const pastAct = z.enum(['author', 'requester', 'credential-writer'])
export type PastAct = z.output<typeof pastAct>
/** What somebody does now. */
export const presentAct = z.enum(['approver', 'requester', 'author'])
export type PresentAct = z.output<typeof presentAct>

/** Two duties that nobody is to hold at once, or two acts about one thing that are not to be done by the same person. */
export const sodConflict = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('duties'), first: duty, second: duty }),
  z.strictObject({ kind: z.literal('acts'), before: pastAct, now: presentAct }),
])
export type SodConflict = z.output<typeof sodConflict>

const rule = {
  description: description.optional(),
  mode: sodMode,
  conflict: sodConflict,
  /** Of acts about runs: only where one of the targets has these tags, `env=prod`. Absent: everywhere. */
  targets: labelExpression.optional(),
}

export const sodRuleCommands = {
  'define-sod-rule': z.strictObject({ rule: sodRuleName, ...rule }),
  'change-sod-rule': z.strictObject({
    rule: sodRuleName,
    mode: sodMode.optional(),
    targets: labelExpression.nullable().optional(),
    reason,
  }),
  'retire-sod-rule': z.strictObject({ rule: sodRuleName, reason }),
}

export const sodRuleEvents = {
  SodRuleDefined: z.object({ rule: sodRuleName, ...rule }),
  /** All that can be changed, as it is from now on; the only event of a built-in rule that was never defined. */
  SodRuleChanged: z.object({ rule: sodRuleName, mode: sodMode, targets: labelExpression.optional(), reason }),
  SodRuleRetired: z.object({ rule: sodRuleName, reason }),
}

/** What a person of whom only the actor is known is called: `user:<id>`. */
const person = z.string().max(160)
/** What it was about. */
const about = z.strictObject({ kind: line(40), id: line(120) })
const seen = {
  rule: sodRuleName,
  person,
  mode: sodMode,
  /** `exempt`: a key of the key file did what the rule keeps people from. */
  outcome: z.enum(['blocked', 'justified', 'allowed', 'exempt']),
  about,
  detail: line(500),
}

export const sodViolationCommands = {
  'waive-sod-violation': z.strictObject({ violationId: id, until: instant, reason }),
}
export const sodViolationInternalCommands = {
  'report-sod-violation': z.strictObject({ violationId: id, ...seen }),
}
/** One stream for each rule and person; its id follows from both. */
export const sodViolationEvents = {
  /** What somebody set out to do; whether it came about is told by the stream it is about. */
  SodViolationDetected: z.object({ violationId: id, ...seen }),
  /** Until then the rule says nothing against this person. */
  SodViolationWaived: z.object({ violationId: id, until: instant, reason }),
}

export const sodRuleRow = z.object({
  rule: sodRuleName,
  name: z.string().describe('The same as its id'),
  description: z.string().nullable(),
  mode: sodMode,
  conflict: sodConflict,
  targets: z.string().nullable(),
  builtIn: z.boolean(),
  status: z.enum(['active', 'retired']),
})
export type SodRuleRow = z.output<typeof sodRuleRow>

export const sodViolationRow = z.object({
  violationId: id,
  name: z.string().describe('The rule, for lists in order of names'),
  rule: sodRuleName,
  person,
  mode: sodMode,
  outcome: seen.outcome,
  about,
  detail: z.string(),
  count: z.int(),
  waivedUntil: instant.nullable(),
  waiveReason: z.string().nullable(),
  status: z.enum(['open', 'waived']).describe('waived also when that is over: see waivedUntil'),
})
export type SodViolationRow = z.output<typeof sodViolationRow>

const builtIn = (name: string, text: string, mode: SodMode, conflict: SodConflict): SodRuleRow => ({
  ...{ rule: name, name, description: text, mode, conflict, targets: null, builtIn: true, status: 'active' },
})
const changes = ['write', 'trigger', 'cancel', 'approve', 'resolve', 'use', 'enrol', 'revoke', 'any', 'waive']

/** Rules that are always there; they can be changed and retired like all others. */
export const builtInSodRules: readonly SodRuleRow[] = [
  builtIn('author-approver', 'Who wrote a job version does not approve its runs', 'block', {
    ...{ kind: 'acts', before: 'author', now: 'approver' },
  }),
  builtIn('requester-approver', 'Who asked for a run does not approve it', 'block', {
    ...{ kind: 'acts', before: 'requester', now: 'approver' },
  }),
  builtIn('auditor-write', 'Whoever audits changes nothing', 'block', {
    kind: 'duties',
    first: { roles: ['auditor'] },
    second: { permissions: changes.map(what => `*:${what}`) },
  }),
  builtIn('credential-runner', 'Who stored a credential does not run something with it', 'detect', {
    ...{ kind: 'acts', before: 'credential-writer', now: 'requester' },
  }),
  builtIn('user-admin-role-definer', 'Who looks after users does not also define roles', 'block', {
    kind: 'duties',
    first: { permissions: ['user:write', 'grant:write'] },
    second: { permissions: ['role:write'] },
  }),
]
const byName = new Map(builtInSodRules.map(each => [each.rule, each]))
export const builtInSodRule = (name: string): SodRuleRow | undefined => byName.get(name)

export const principalText = ({ kind, id: whose }: z.output<typeof principal>): string => `${kind}:${whose}`

export type SodRuleCommand = MessageOf<typeof sodRuleCommands>
export type SodRuleEvent = MessageOf<typeof sodRuleEvents>
export type SodViolationCommand = MessageOf<typeof sodViolationCommands & typeof sodViolationInternalCommands>
export type SodViolationEvent = MessageOf<typeof sodViolationEvents>
