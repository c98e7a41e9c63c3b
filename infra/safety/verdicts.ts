import { createHash } from 'node:crypto'
import { defaultRules } from './default-rules.ts'
import { fittingRules } from './judge.ts'
import { decisionOf, type Rule, type RuleSet, rulesDigest, type Setting } from './rules.ts'
import type { StepText } from './step-text.ts'

/** A rule that speaks against a command. Quotes nothing of the command, so it may be told and kept. */
export type Finding = { rule: string; decision: 'confirm' | 'deny'; reason: string }

/** The safety checks for whoever asks them often. */
export interface Verdicts {
  /** Every rule that speaks against the command there, those that refuse first; empty: it is allowed. */
  findings(text: StepText, setting: Setting): Promise<Finding[]>
  /** SHA-256 of the rules, which a confirmation is bound to. */
  readonly digest: string
  /** Environments that a rule speaks of; all others are judged alike. */
  readonly environments: ReadonlySet<string>
}

/** Texts whose rules are remembered; each takes about 200 bytes. */
const REMEMBERED = 5_000

/** Judges each distinct text once, however often and with whatever environment it is asked for. */
export function createVerdicts({
  rules = defaultRules,
  max = REMEMBERED,
}: {
  rules?: RuleSet
  max?: number
} = {}): Verdicts {
  const known = new Map<string, Promise<readonly Rule[]>>()
  const fitting = (text: StepText) => {
    const key = createHash('sha256').update(`${text.shell}\n${text.command}`).digest('base64')
    const found = known.get(key) ?? fittingRules({ ...text, rules })
    // Asked for last, forgotten last.
    known.delete(key)
    known.set(key, found)
    for (const oldest of known.keys()) {
      if (known.size <= max) break
      known.delete(oldest)
    }
    return found
  }
  return {
    digest: rulesDigest(rules),
    environments: new Set(rules.rules.flatMap(rule => (rule.cases ?? []).flatMap(one => one.environment ?? []))),
    async findings(text, setting) {
      const found = (await fitting(text)).flatMap(rule => findingOf(rule, setting))
      return [...found.filter(each => each.decision === 'deny'), ...found.filter(each => each.decision === 'confirm')]
    },
  }
}

function findingOf(rule: Rule, setting: Setting): Finding[] {
  const decision = decisionOf(rule, setting)
  return decision === 'allow' ? [] : [{ rule: rule.id, decision, reason: rule.reason }]
}
