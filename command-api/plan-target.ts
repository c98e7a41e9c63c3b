import { z } from 'zod'
import { judge, type Verdict } from '../infra/safety/judge.ts'
import type { JobVersion } from '../schemas/job.ts'
import type { StepRule } from '../schemas/run.ts'
import { stepRunId } from '../schemas/steps/base.ts'
import type { RenderedStep } from '../schemas/steps/index.ts'
import { nextSegment, prologue, renderedText, type SegmentInput } from './domain/workflow/index.ts'
import { referencesIn } from './domain/workflow/templates-of.ts'

export const plannedOnTarget = z.object({
  stepId: stepRunId,
  does: z
    .enum(['runs', 'waits', 'skipped', 'fails', 'known-later'])
    .describe('known-later: it depends on what earlier steps find out; fails: it cannot be written down'),
  text: z.string().optional().describe('What would be done, values in place'),
  why: z.string().optional(),
  verdict: z
    .object({ decision: z.enum(['allow', 'confirm', 'deny']), rule: z.string().nullable(), reason: z.string() })
    .optional()
    .describe('What the safety checks say of the command'),
})
export type PlannedOnTarget = z.output<typeof plannedOnTarget>
type Judge = (step: RenderedStep, tags: Readonly<Record<string, string>>) => Promise<Verdict | undefined>

/** What each step of the plan would do on one target, as far as that is known before anything is done. */
export async function planTarget(
  input: Omit<SegmentInput, 'rules' | 'ended' | 'mayBegin'>,
  rules: readonly StepRule[],
  judged: Judge,
): Promise<PlannedOnTarget[]> {
  const steps: PlannedOnTarget[] = []
  for (const rule of rules) if ((rule.phase ?? 'main') === 'main') steps.push(await planStep(input, rule, judged))
  return steps
}

async function planStep(
  input: Omit<SegmentInput, 'rules' | 'ended' | 'mayBegin'>,
  rule: StepRule,
  judged: Judge,
): Promise<PlannedOnTarget> {
  const stepId = rule.id
  const asks = resultsAskedFor(input.version, stepId)
  if (asks.length > 0) return { stepId, does: 'known-later', why: `depends on ${asks.join(', ')}` }
  const { skip, due, wait, impossible } = nextSegment({ ...input, rules: [rule], ended: {}, mayBegin: () => true })
  const [skipped] = skip
  if (skipped) return { stepId, does: 'skipped', why: skipped.why }
  if (wait) return { stepId, does: 'waits', text: `until ${wait.until}` }
  const [step] = due
  if (!step) return { stepId, does: 'fails', why: impossible?.detail ?? 'it cannot be told what it does' }
  const verdict = await judged(step, input.target.tags)
  const { decision, rule: by, reason } = verdict ?? {}
  return {
    ...{ stepId, does: 'runs', text: renderedText(step) },
    ...(decision && reason !== undefined && { verdict: { decision, rule: by ?? null, reason } }),
  }
}

/** The steps whose results it takes to say what a step does. */
function resultsAskedFor({ steps }: JobVersion, stepRunId: string): string[] {
  const step = steps.find(({ id }) => id === stepRunId.split('.', 1)[0])
  if (!step) return []
  const asked = referencesIn(step).filter(({ root }) => root === 'steps' || root === 'all')
  return [...new Set(asked.flatMap(({ path: [id] }) => id ?? []))]
}

/** Asks the safety checks once for each text and environment. */
export function createJudge(targets: number): Judge {
  const known = new Map<string, Promise<Verdict>>()
  return async (step, tags) => {
    const environment = environmentOf(tags)
    const command = shellText(step)
    if (command === undefined) return undefined
    const key = `${environment ?? ''} ${command}`
    const verdict = known.get(key) ?? judge({ shell: 'posix', command, environment, targets })
    known.set(key, verdict)
    return await verdict
  }
}

/** The environment that rules may be about, as targets are tagged with it. */
function environmentOf({ environment, env }: Readonly<Record<string, string>>): string | undefined {
  return environment ?? (env === 'prod' ? 'production' : env)
}

/** What a shell on the target would read; undefined for steps that give it nothing to read. */
function shellText({ action, variables = {} }: RenderedStep): string | undefined {
  switch (action.uses) {
    case 'ssh.command':
      return `${prologue(variables)}${action.with.command}`
    case 'ssh.script':
      return /\/(?:ba|da|k|z)?sh$/.test(action.with.interpreter) ? action.with.script : undefined
    case 'wait.until':
      return action.with.probe.kind === 'command' ? `${prologue(variables)}${action.with.probe.command}` : undefined
    case 'file.put':
    case 'file.get':
    case 'http.request':
    case 'wait.time':
    case 'noop':
      return undefined
  }
}
