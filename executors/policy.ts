import { stepText } from '../infra/safety/step-text.ts'
import { createVerdicts, type Verdicts } from '../infra/safety/verdicts.ts'
import type { Assignment } from '../schemas/bus.ts'
import type { RenderedStep } from '../schemas/steps/index.ts'

export type Judgement = { allowed: true } | { allowed: false; detail: string }
/** The last question before a step takes effect: whether what was rendered may be done there. */
export type MayRun = (
  step: Pick<RenderedStep, 'action' | 'variables' | 'stdinCredentialId'>,
  safety: Assignment['safety'],
) => Promise<Judgement>

/** Refuses what the rules refuse, and what they want confirmed unless a person has confirmed every such rule. */
export function safetyPolicy(verdicts: Verdicts = createVerdicts()): MayRun {
  // The parser is loaded now, not when the first command waits for it.
  void verdicts.findings({ shell: 'posix', command: 'true' }, {})
  return async ({ action, variables, stdinCredentialId }, { confirmed, ...setting }) => {
    const text = stepText(action, variables, stdinCredentialId !== undefined)
    const findings = text ? await verdicts.findings(text, setting) : []
    const against = findings.find(({ decision, rule }) => decision === 'deny' || !confirmed.includes(rule))
    if (!against) return { allowed: true }
    const { rule, reason, decision } = against
    const why = decision === 'deny' ? 'refuse it' : 'want it confirmed, and for this run nobody did'
    return { allowed: false, detail: `the safety checks ${why}: ${rule}: ${reason}`.slice(0, 500) }
  }
}
