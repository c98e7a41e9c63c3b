import { boundOf, shownOf } from '../../command-api/dispatch/approval.ts'
import type { CommandOf } from '../../command-api/domain/index.ts'
import { gateOf, TemplateError } from '../../command-api/domain/workflow/index.ts'
import { derivedId } from '../../infra/ids.ts'
import { streams } from '../../schemas/events.ts'
import type { JobVersion } from '../../schemas/job.ts'
import { ProblemError } from '../../schemas/problems.ts'
import { principalText } from '../../schemas/sod.ts'
import type { Commands } from '../commands.ts'
import type { ActiveRun } from './active-run.ts'

export type GateCommands = Pick<Commands, 'known' | 'triggerRun' | 'catalogue'>
type OpenGate = Extract<CommandOf<'run'>, { type: 'open-gate' }>['data']['gate']

/**
 * What becomes of a step that is done once for the run. A run that it triggers is triggered here, before the log says
 * so: its id follows from the step, so that this may be done again. Throws EventStoreUnavailable.
 */
export async function openGate(run: ActiveRun, stepId: string, commands: GateCommands): Promise<OpenGate> {
  const { jobId, jobVersion, jobName, parameters = {}, targets, initiator, runId } = run.request
  const job = await commands.known('job', streams.job(jobId))
  const version = job.status === 'absent' ? undefined : job.versions.find(each => each.version === jobVersion)
  if (!version) return impossible('internal', `the job has no version ${jobVersion}`)
  try {
    const scope = { id: runId, jobId, jobName, jobVersion, targets, initiator: initiator.id }
    const gate = gateOf(version, parameters, scope, stepId)
    if (gate.kind === 'job-run') return await triggerSubRun(run, stepId, gate, commands)
    return gate.kind === 'approval' ? await whatIsAsked(run, version, gate, commands) : gate
  } catch (error) {
    if (error instanceof TemplateError) return impossible('invalid-template', error.message)
    throw error
  }
}

type Approval = Extract<OpenGate, { kind: 'approval' }>

/** With what a yes would be said to, as it is now. */
async function whatIsAsked(
  run: ActiveRun,
  version: JobVersion,
  gate: Approval,
  commands: Pick<Commands, 'catalogue'>,
): Promise<Approval> {
  const catalogue = await commands.catalogue()
  const of = { version, request: run.request, targetIds: run.targetIds }
  return { ...gate, bound: boundOf(catalogue, of), shown: shownOf(catalogue, of) }
}

const impossible = (why: Extract<OpenGate, { kind: 'impossible' }>['class'], detail: string): OpenGate => ({
  ...{ kind: 'impossible', class: why, detail: detail.slice(0, 500) },
})

async function triggerSubRun(
  run: ActiveRun,
  stepId: string,
  gate: Extract<ReturnType<typeof gateOf>, { kind: 'job-run' }>,
  commands: Pick<Commands, 'triggerRun'>,
): Promise<OpenGate> {
  const { runId, correlationId, requestEventId: causationId, initiator, parent, runAs } = run.request
  const subRunId = derivedId('sub-run', runId, stepId)
  const data = {
    ...{ runId: subRunId, jobId: gate.jobId, version: gate.version, parameters: gate.parameters },
    ...(gate.sameTargets && { selection: { targetIds: [...run.targetIds] } }),
    reason: `step ${stepId} of run ${runId}`,
  }
  const above = { runId, stepId, depth: (parent?.depth ?? 0) + 1 }
  const onBehalfOf = runAs ? principalText(runAs) : (initiator.onBehalfOf ?? `${initiator.kind}:${initiator.id}`)
  const actor = { kind: 'system' as const, id: 'run-coordinator', onBehalfOf }
  const by = { actor, correlationId, causationId, commandId: derivedId('trigger-sub-run', runId, stepId) }
  try {
    await commands.triggerRun(data, { parent: above, request: run.request }, by)
    return { kind: 'job-run', subRunId, jobId: gate.jobId }
  } catch (error) {
    // What the rules refuse will be refused again; all else may be tried again.
    if (error instanceof ProblemError && error.code !== 'conflict') {
      return impossible('denied', `the run could not be triggered: ${error.message}`)
    }
    throw error
  }
}
