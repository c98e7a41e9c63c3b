import { setImmediate as turn } from 'node:timers/promises'
import { z } from 'zod'
import type { Holder } from '../infra/http/index.ts'
import { id, type Meta } from '../schemas/kernel.ts'
import { parameterValues } from '../schemas/parameters.ts'
import { plannedStep, type RunEvent } from '../schemas/run.ts'
import { n } from '../schemas/target-run.ts'
import { demand } from './access/denied.ts'
import { mayRun } from './access/may-run.ts'
import type { DecideDeps } from './decide.ts'
import { askedRun, factsForRun } from './dispatch/run-facts.ts'
import type { AskedRun } from './dispatch/run-safety.ts'
import { type CommandOf, deciders } from './domain/index.ts'
import { stepsBefore } from './domain/workflow/index.ts'
import { plannedOnTarget, planTarget, whyBefore } from './plan-target.ts'

/** So many target runs are shown, fewer when they say a lot; the counts are of all. */
const SHOWN = 200
const MOST_CHARACTERS = 2_000_000

const finding = z.object({
  stepId: z.string().describe('Of a step of a job that a step runs: deploy/clean'),
  environment: z.string().optional(),
  rule: z.string(),
  decision: z.enum(['confirm', 'deny']),
  reason: z.string(),
})

export const runPlan = z.object({
  mode: z.literal('plan'),
  jobId: id,
  jobName: z.string(),
  jobVersion: z.int(),
  parameters: parameterValues.describe('Of a secret only the id of the credential that holds it'),
  targets: z.int(),
  steps: z
    .array(plannedStep.extend({ skipped: z.literal(whyBefore).optional() }))
    .describe('What each target goes through, in order; loops are unrolled. Skipped: it counts as done, gates too'),
  allowed: z.boolean().describe('Whether the same request without mode would be accepted'),
  confirmationNeeded: z.array(finding).describe('Accepted with confirm only'),
  denied: z.array(finding),
  targetRuns: z
    .array(
      z.object({
        n,
        targetId: id,
        targetName: z.string(),
        steps: z.array(plannedOnTarget).describe('In order; then what undoes them, then what is done after a failure'),
      }),
    )
    .describe(`The first ${SHOWN} at most`),
  more: z.int().describe('Target runs that are not shown'),
})
export type RunPlan = z.output<typeof runPlan>
type Planned = Extract<CommandOf<'run'>, { type: 'trigger-run' | 'rerun' }>

/**
 * What triggering this run would lead to, decided by the rules that decide it: nothing is appended, nothing connected
 * to. Throws what the command itself would, but not what the safety checks say: that is part of the plan.
 */
export async function planRun(deps: DecideDeps, command: Planned, meta: Meta, holder: Holder): Promise<RunPlan> {
  if (command.type === 'trigger-run') demand(holder, 'run:trigger', { kind: 'job', id: command.data.jobId })
  const facts = await factsForRun(deps, command, meta.actor, mayRun(deps, holder, command))
  const events = deciders.run.decide(command, deciders.run.initial, meta, facts && { ...facts, safety: undefined })
  const [first] = events
  if (first?.type !== 'RunRequested' || !facts) throw new Error('a trigger begins with what is requested')
  const { runId, jobId, jobName, jobVersion, parameters = {}, targets, plan = [], fromStep } = first.data
  const asked = askedRun(facts, { runId, initiator: meta.actor.id, parameters, version: jobVersion, fromStep })
  const before = stepsBefore(asked?.version.steps ?? [], fromStep)
  const targetRuns = asked ? await writtenOut(deps, { ...asked, targetIds: events.flatMap(resolved) }, before) : []
  const steps = plan.map(step => ({ ...step, ...(before.has(stepOf(step.id)) ? { skipped: whyBefore } : {}) }))
  const { findings = [] } = facts.safety ?? {}
  const denied = findings.filter(({ decision }) => decision === 'deny')
  const confirmationNeeded = findings.filter(({ decision }) => decision === 'confirm')
  const allowed = denied.length === 0 && (confirmationNeeded.length === 0 || command.data.confirm === true)
  return {
    ...{ mode: 'plan', jobId, jobName, jobVersion, parameters, targets, steps },
    ...{ allowed, confirmationNeeded, denied, targetRuns, more: targets - targetRuns.length },
  }
}

const resolved = (event: RunEvent) => (event.type === 'TargetsResolved' ? event.data.targetIds : [])

const stepOf = (unitId: string) => unitId.split('.', 1)[0] ?? unitId

async function writtenOut(
  { catalogue, verdicts }: DecideDeps,
  asked: AskedRun,
  before: ReadonlySet<string>,
): Promise<RunPlan['targetRuns']> {
  const shown: RunPlan['targetRuns'] = []
  let characters = 0
  for (const [n, targetId] of asked.targetIds.slice(0, SHOWN).entries()) {
    const target = catalogue.target(targetId)
    if (!target || characters > MOST_CHARACTERS) break
    const steps = await planTarget(verdicts, { ...asked, target }, before)
    characters += JSON.stringify(steps).length
    shown.push({ n, targetId, targetName: target.name, steps })
    // Other requests have their turn.
    await turn()
  }
  return shown
}

const exampleId = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
export const examplePlan: RunPlan = {
  mode: 'plan',
  jobId: exampleId,
  jobName: 'release',
  jobVersion: 4,
  parameters: { version: '1.4.2' },
  targets: 1,
  steps: [{ id: 'install' }, { id: 'restart', barrier: true }],
  allowed: true,
  confirmationNeeded: [],
  denied: [],
  targetRuns: [
    {
      ...{ n: 0, targetId: exampleId, targetName: 'web-1' },
      steps: [
        {
          ...{ stepId: 'install', does: 'runs', text: `opsc_1='1.4.2'\ninstall-release "${'$'}{opsc_1}"` },
          verdict: { decision: 'allow', rule: null, reason: 'No rule speaks against it.' },
        },
        { stepId: 'restart', does: 'known-later', why: 'depends on install' },
      ],
    },
  ],
  more: 0,
}
