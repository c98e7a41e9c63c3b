import { defaultRules } from './default-rules.ts'
import { type Rule, type RuleSet, rulesDigest } from './rules.ts'

/** The rules as the table of docs/safety-checks.md. */
export function ruleTable(rules: RuleSet): string {
  const head = `Version ${rules.version}, digest \`${rulesDigest(rules)}\`.\n\n| rule | what | decision |\n|---|---|---|\n`
  return head + rules.rules.map(rule => `| \`${rule.id}\` | ${rule.title} | ${decisions(rule)} |`).join('\n')
}

function decisions({ decision, cases = [] }: Rule): string {
  const more = cases.map(({ environment, moreTargetsThan, decision: stricter }) => {
    const when = [
      environment && `in ${environment}`,
      moreTargetsThan !== undefined && `on more than ${moreTargetsThan} targets`,
    ]
    return `${stricter} ${when.filter(Boolean).join(' ')}`
  })
  return [decision, ...more].join('; ')
}

if (process.argv[1] === import.meta.filename) console.log(ruleTable(defaultRules))
