import { DomainError } from './decider.ts'
import type { Requested } from './run-state.ts'

/** A rule of the safety checks that speaks against a step. Tells nothing of what the command says. */
export type SafetyFinding = {
  /** Of a step of a job that a step runs: `deploy/clean`. */
  stepId: string
  environment?: string | undefined
  rule: string
  decision: 'confirm' | 'deny'
  reason: string
}
export type SafetyFacts = { findings: readonly SafetyFinding[]; rulesDigest: string }
type Asked = {
  /** The caller's word that all of it is meant. */
  confirm: boolean | undefined
  /** What was confirmed for the run whose step triggers this one; its rules are no longer asked about. */
  above: Requested['confirmed'] | undefined
}

const MOST_ERRORS = 100

/**
 * What is recorded as confirmed; undefined when nothing had to be.
 * @throws DomainError command-denied, confirmation-needed
 */
export function confirmedRules(
  { findings, rulesDigest }: SafetyFacts,
  { confirm, above }: Asked,
): Requested['confirmed'] {
  const denied = findings.filter(({ decision }) => decision === 'deny')
  if (denied.length > 0) throw refusal('command-denied', 'refused by', denied)
  const known = above?.rulesDigest === rulesDigest ? above.rules : []
  const open = findings.filter(({ rule }) => !known.includes(rule))
  if (open.length > 0 && confirm !== true) throw refusal('confirmation-needed', 'say confirm if it is meant:', open)
  const rules = [...new Set(findings.map(({ rule }) => rule))].sort()
  return rules.length > 0 ? { rules, rulesDigest } : undefined
}

function refusal(code: 'command-denied' | 'confirmation-needed', what: string, findings: readonly SafetyFinding[]) {
  const rules = [...new Set(findings.map(({ rule }) => rule))]
  return new DomainError(code, `${what} ${rules.join(', ')}`.slice(0, 500), errorsOf(findings).slice(0, MOST_ERRORS))
}

function errorsOf(findings: readonly SafetyFinding[]) {
  return findings.map(({ stepId, environment, rule, reason }) => ({
    path: `steps.${stepId}`,
    message: `${rule}${environment === undefined ? '' : ` in ${environment}`}: ${reason}`,
  }))
}
