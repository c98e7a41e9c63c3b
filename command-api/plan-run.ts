import { z } from 'zod'
import { streams } from '../schemas/events.ts'
import { id, type Meta } from '../schemas/kernel.ts'
import { parameterValues } from '../schemas/parameters.ts'
import { n, plannedStep, type RunEvent } from '../schemas/run.ts'
import type { DecideDeps } from './decide.ts'
import { factsForRun } from './dispatch/run-facts.ts'
import { type CommandOf, deciders } from './domain/index.ts'
import { chosenVersion } from './domain/run-request.ts'
import { rulesOf, type TargetScope } from './domain/workflow/index.ts'
import { createJudge, type PlannedOnTarget, plannedOnTarget, planTarget } from './plan-target.ts'

/** On so many targets each step is written out; the counts are of all. */
const WRITTEN_OUT = 100
/** So many targets are named. */
const SHOWN = 1_000

export const runPlan = z.object({
  mode: z.literal('plan'),
  jobId: id,
  jobName: z.string(),
  jobVersion: z.int(),
  parameters: parameterValues.describe('Of a secret only the id of the credential that holds it'),
  targets: z.int(),
  steps: z.array(plannedStep).describe('What each target goes through, in order; loops are unrolled'),
  targetRuns: z
    .array(
      z.object({
        n,
        targetId: id,
        targetName: z.string().optional(),
        steps: z.array(plannedOnTarget).optional().describe(`On the first ${WRITTEN_OUT} targets`),
      }),
    )
    .describe(`The first ${SHOWN} targets`),
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
  const version = facts && chosenVersion({ version: jobVersion }, facts.job)
  if (!version) throw new Error('a run is of a version there is')
  const run = { id: data.runId, jobId, jobName, jobVersion, targets, initiator: meta.actor.id }
  const rules = rulesOf(version, parameters)
  const judged = createJudge(targets)
  const writeOut = (target: TargetScope) =>
    planTarget({ version, parameters, run, target, now: meta.at }, rules, judged)
  const shown = events.flatMap(resolved).slice(0, SHOWN)
  const targetRuns = [
    ...(await Promise.all(shown.slice(0, WRITTEN_OUT).map(targetRun => writtenOut(deps, targetRun, writeOut)))),
    ...shown.slice(WRITTEN_OUT),
  ]
  return { mode: 'plan', jobId, jobName, jobVersion, parameters, targets, steps: plan, targetRuns }
}

type TargetRunPlan = RunPlan['targetRuns'][number]

async function writtenOut(
  { dispatcher }: DecideDeps,
  targetRun: TargetRunPlan,
  steps: (target: TargetScope) => Promise<PlannedOnTarget[]>,
): Promise<TargetRunPlan> {
  const { state } = await dispatcher.load('target', streams.target(targetRun.targetId))
  if (state.status === 'absent') return targetRun
  const { targetId, name, address, port, tags } = state
  return { ...targetRun, targetName: name, steps: await steps({ id: targetId, name, address, port, tags }) }
}

function resolved(event: RunEvent): TargetRunPlan[] {
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
  targetRuns: [
    {
      ...{ n: 0, targetId: exampleId, targetName: 'web-1' },
      steps: [
        {
          ...{ stepId: 'install', does: 'runs', text: `opsc_1='1.4.2'\ninstall-release "${'$'}{opsc_1}"` },
          verdict: { decision: 'allow', rule: null, reason: 'nothing of it is known to do harm' },
        },
        { stepId: 'restart', does: 'known-later', why: 'depends on install' },
      ],
    },
  ],
}
