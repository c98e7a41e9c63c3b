import { z } from 'zod'
import type { Verdicts } from '../infra/safety/verdicts.ts'
import { stepRunId } from '../schemas/steps/base.ts'
import type { RenderedStep } from '../schemas/steps/index.ts'
import { environmentOf } from '../schemas/target.ts'
import { findingsAgainst } from './dispatch/safety.ts'
import { type Preview, type PreviewInput, previews, renderedText } from './domain/workflow/index.ts'

export const plannedOnTarget = z.object({
  stepId: stepRunId,
  phase: z.enum(['undo', 'handler']).optional().describe('Only after a failure'),
  does: z
    .enum(['runs', 'may-run', 'waits', 'skipped', 'fails', 'known-later'])
    .describe(
      'may-run: if its condition, known later, is true; known-later: it depends on what earlier steps find out; ' +
        'fails: it cannot be written down',
    ),
  text: z.string().optional().describe('What would be done, values in place'),
  stdin: z.string().optional().describe('[secret] for what only the vault and the target see'),
  why: z.string().optional(),
  verdict: z
    .object({ decision: z.enum(['allow', 'confirm', 'deny']), rule: z.string().nullable(), reason: z.string() })
    .optional()
    .describe('What the safety checks say of the command'),
})
export type PlannedOnTarget = z.output<typeof plannedOnTarget>

/** Of a rerun from a later step. */
export const whyBefore = 'before-first-step' as const

/**
 * What each step that is done on targets would do on one, as far as that is known before anything is done. `before`:
 * steps that count as done.
 */
export async function planTarget(
  verdicts: Verdicts,
  input: PreviewInput,
  before: ReadonlySet<string>,
): Promise<PlannedOnTarget[]> {
  const environment = environmentOf(input.target.tags)
  const steps: PlannedOnTarget[] = []
  for (const preview of previews(input)) {
    if (preview.kind === 'gate') continue
    const { id, phase, step } = preview.unit
    if (before.has(step.id)) {
      steps.push({ stepId: id, ...(phase !== 'main' && { phase }), does: 'skipped', why: whyBefore })
      continue
    }
    const [worst] = await findingsAgainst(verdicts, preview, { environment, targets: input.run.targets })
    const verdict = worst ?? allowed
    const isJudged = preview.kind === 'rendered' || worst !== undefined
    steps.push({ stepId: id, ...(phase !== 'main' && { phase }), ...told(preview), ...(isJudged && { verdict }) })
  }
  return steps
}

const allowed = { decision: 'allow', rule: null, reason: 'No rule speaks against it.' } as const

function told(preview: Exclude<Preview, { kind: 'gate' }>): Omit<PlannedOnTarget, 'stepId'> {
  switch (preview.kind) {
    case 'rendered': {
      const { step, ifWaitsFor } = preview
      const does = step.action.uses === 'wait.time' ? ('waits' as const) : ('runs' as const)
      const when = ifWaitsFor.length > 0 ? { does: 'may-run' as const, why: dependsOn(ifWaitsFor) } : { does }
      return { ...when, text: renderedText(step), ...stdinOf(step) }
    }
    case 'skipped':
      return { does: 'skipped', why: preview.why }
    case 'unknown':
      return { does: 'known-later', why: dependsOn(preview.waitsFor) }
    case 'impossible':
      return { does: 'fails', why: preview.detail }
  }
}

const dependsOn = (steps: readonly string[]) => `depends on ${steps.join(', ')}`

function stdinOf({ action, stdinCredentialId }: RenderedStep): { stdin?: string } {
  if (stdinCredentialId !== undefined) return { stdin: '[secret]' }
  const stdin = action.uses === 'ssh.command' ? action.with.stdin : undefined
  return stdin === undefined ? {} : { stdin }
}
