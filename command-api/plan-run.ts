import { z } from 'zod'
import { id, type Meta } from '../schemas/kernel.ts'
import { parameterValues } from '../schemas/parameters.ts'
import { n, plannedStep, type RunEvent } from '../schemas/run.ts'
import type { DecideDeps } from './decide.ts'
import { factsForRun } from './dispatch/run-facts.ts'
import { type CommandOf, deciders } from './domain/index.ts'

/** So many target runs are shown; the counts are of all. */
const SHOWN = 1_000

export const runPlan = z.object({
  mode: z.literal('plan'),
  jobId: id,
  jobName: z.string(),
  jobVersion: z.int(),
  parameters: parameterValues.describe('Of a secret only the id of the credential that holds it'),
  targets: z.int(),
  steps: z.array(plannedStep).describe('What each target goes through, in order; loops are unrolled'),
  targetRuns: z.array(z.object({ n, targetId: id })).describe(`The first ${SHOWN} of them`),
})
export type RunPlan = z.output<typeof runPlan>
type Trigger = Extract<CommandOf<'run'>, { type: 'trigger-run' }>['data']

/**
 * What triggering this run would lead to, decided by the rules that decide it, with nothing appended. Throws what the
 * command itself would.
 */
export async function planRun(deps: DecideDeps, data: Trigger, meta: Meta): Promise<RunPlan> {
  const command = { type: 'trigger-run', data } as const
  const facts = await factsForRun(deps, command)
  const events = deciders.run.decide(command, deciders.run.initial, meta, facts)
  const [first] = events
  if (first?.type !== 'RunRequested') throw new Error('a trigger begins with what is requested')
  const { jobId, jobName, jobVersion, parameters = {}, targets, plan = [] } = first.data
  const targetRuns = events.flatMap(resolved).slice(0, SHOWN)
  return { mode: 'plan', jobId, jobName, jobVersion, parameters, targets, steps: plan, targetRuns }
}

function resolved(event: RunEvent): RunPlan['targetRuns'] {
  if (event.type !== 'TargetsResolved') return []
  return event.data.targetIds.map((targetId, i) => ({ n: event.data.from + i, targetId }))
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
  targetRuns: [{ n: 0, targetId: exampleId }],
}
