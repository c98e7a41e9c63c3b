import { createHash } from 'node:crypto'
import { z } from 'zod'
import { effects, type Fact, kinds } from './facts.ts'
import { optionsAndWords } from './subcommands.ts'
import { globMatches, isDynamic, show } from './text.ts'

export const decisions = ['allow', 'confirm', 'deny'] as const
export type Decision = (typeof decisions)[number]
const decisionSchema = z.enum(decisions)

const names = z.array(z.string().min(1).max(1_000)).min(1)

/**
 * What a fact must have for a rule to hold; all that is given must fit, and of each list one entry is enough.
 * `verb`, `target` and `option` are globs; `words` are the first words after options, each `a|b` or `*`.
 */
const matchSchema = z
  .strictObject({
    verb: names,
    effect: z.array(z.enum(effects)).min(1),
    kind: z.array(z.enum(kinds)).min(1),
    target: names,
    words: names,
    option: names,
    without: names,
    recursive: z.boolean(),
    force: z.boolean(),
    privileged: z.boolean(),
    dynamic: z.boolean(),
  })
  .partial()
  .refine(match => Object.keys(match).length > 0, 'a match without any condition would fit everything')

/** `decision` is the least; each case that fits the run may make it stricter. */
const caseSchema = z.strictObject({
  environment: z.string().min(1).optional(),
  moreTargetsThan: z.number().int().nonnegative().optional(),
  decision: decisionSchema,
})

export const ruleSchema = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9-]*$/),
  title: z.string().min(1).max(200),
  match: z.array(matchSchema).min(1),
  decision: decisionSchema,
  cases: z.array(caseSchema).optional(),
  reason: z.string().min(1).max(300),
})

/** A set of rules has a version people name it by; what approvals bind to is its digest. */
export const ruleSetSchema = z
  .strictObject({ version: z.string().min(1), rules: z.array(ruleSchema).max(1_000) })
  .refine(({ rules }) => new Set(rules.map(({ id }) => id)).size === rules.length, 'every rule needs an id of its own')

export type Match = z.infer<typeof matchSchema>
export type Rule = z.infer<typeof ruleSchema>
export type RuleSet = z.infer<typeof ruleSetSchema>
export type Setting = { environment?: string | undefined; targets?: number | undefined }

const digests = new WeakMap<RuleSet, string>()

/** SHA-256 over the set in one spelling: keys sorted, nothing left out. */
export function rulesDigest(rules: RuleSet): string {
  const known = digests.get(rules)
  if (known !== undefined) return known
  const digest = createHash('sha256')
    .update(JSON.stringify(sorted(rules)))
    .digest('hex')
  digests.set(rules, digest)
  return digest
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, entry]) => [key, sorted(entry)]),
  )
}

export function strictest(a: Decision, b: Decision): Decision {
  return decisions.indexOf(a) >= decisions.indexOf(b) ? a : b
}

export function decisionOf({ decision, cases = [] }: Rule, { environment, targets = 1 }: Setting): Decision {
  return cases
    .filter(one => one.environment === undefined || one.environment === environment)
    .filter(one => one.moreTargetsThan === undefined || targets > one.moreTargetsThan)
    .reduce<Decision>((before, one) => strictest(before, one.decision), decision)
}

export function ruleFits({ match }: Rule, fact: Fact): boolean {
  return match.some(one => matches(one, fact))
}

function matches(match: Match, fact: Fact): boolean {
  if (match.effect && !(fact.effect && match.effect.includes(fact.effect))) return false
  if (match.verb && !match.verb.some(glob => globMatches(glob, fact.verb))) return false
  if (match.kind && !match.kind.some(kind => fact.kinds.includes(kind))) return false
  if (match.target && !match.target.some(glob => fact.targets.some(target => globMatches(glob, show(target)))))
    return false
  const flags = ['recursive', 'force', 'privileged', 'dynamic'] as const
  if (flags.some(flag => match[flag] !== undefined && match[flag] !== fact[flag])) return false
  return !(match.words || match.option || match.without) || lineFits(match, fact)
}

function lineFits({ words, option, without }: Match, fact: Fact): boolean {
  const line = optionsAndWords(fact.verb, fact.args)
  if (option && !option.some(glob => line.options.some(name => optionFits(glob, name)))) return false
  if (without?.some(glob => line.options.some(name => globMatches(glob, name)))) return false
  return !words || words.every((word, index) => wordFits(word, line.words[index]))
}

// Long options may be cut short as far as three letters; short ones and those of Windows must be whole.
function optionFits(glob: string, name: string): boolean {
  return globMatches(glob, name) || (/^--[\w-]{4,}$/.test(glob) && name.length >= 6 && glob.startsWith(name))
}

function wordFits(wanted: string, word: string | undefined): boolean {
  if (word === undefined) return false
  if (wanted === '?') return isDynamic(word)
  return wanted.split('|').some(glob => globMatches(glob, word))
}
