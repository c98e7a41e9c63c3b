import type { CommandOf } from '../../command-api/domain/index.ts'
import { derivedId } from '../../infra/ids.ts'
import { streams } from '../../schemas/events.ts'
import type { Commands } from '../commands.ts'
import type { ActiveRun } from './active-run.ts'
import type { Action } from './next-actions.ts'

type Message =
  | { name: 'run'; commandId: string; command: CommandOf<'run'> }
  | { name: 'targetRun'; commandId: string; command: CommandOf<'targetRun'> }

/**
 * The command an action comes to; its id follows from what it does, so that the same action taken twice is written
 * once. Throws EventStoreUnavailable.
 */
export async function toCommand(
  run: ActiveRun,
  action: Action,
  commands: Pick<Commands, 'known'>,
): Promise<Message | undefined> {
  const { runId } = run.request
  const ofRun = (command: CommandOf<'run'>, ...more: string[]): Message => ({
    ...{ name: 'run', command, commandId: derivedId(action.type, runId, ...more) },
  })
  const ofTarget = (command: CommandOf<'targetRun'>, n: number, ...more: string[]): Message => ({
    ...{ name: 'targetRun', command, commandId: derivedId(action.type, runId, n, run.lastEpoch(n), ...more) },
  })
  switch (action.type) {
    case 'start-run':
    case 'time-out-run':
      return ofRun({ type: action.type, data: { runId } })
    case 'finish-run':
      return ofRun({ type: 'finish-run', data: { runId, counts: action.counts } })
    case 'report-attention':
      return ofRun({ type: 'report-attention', data: { runId, counts: action.counts } }, JSON.stringify(action.counts))
    case 'stop-run':
      return ofRun({ type: 'stop-run', data: { runId, failed: action.failed } })
    case 'reject-run': {
      const detail = 'another run of the job had not ended'
      return ofRun({ type: 'reject-run', data: { runId, why: 'overlap', detail } })
    }
    case 'cancel-older': {
      const reason = `run ${runId} of the same job takes its place`
      return ofRun({ type: 'cancel-run', data: { runId: action.runId, reason } }, action.runId)
    }
    case 'expire-approval':
      return ofRun({ type: 'expire-approval', data: { runId, stepId: action.stepId } }, action.stepId)
    case 'open-gate': {
      const gate = await gateOf(run, action.stepId, commands)
      return gate && ofRun({ type: 'open-gate', data: { runId, stepId: action.stepId, gate } }, action.stepId)
    }
    case 'end-wait': {
      const { n, stepId } = action
      return ofTarget({ type: 'end-wait', data: { runId, n, stepId } }, n, stepId)
    }
    case 'time-out-target-run': {
      const { n } = action
      return ofTarget({ type: 'time-out-target-run', data: { runId, n, targetId: run.targetIds[n] ?? '' } }, n)
    }
    case 'end-unclaimed-target-run': {
      const { n, why } = action
      const data = { runId, n, targetId: run.targetIds[n] ?? '', why }
      return ofTarget({ type: 'end-unclaimed-target-run', data }, n, why)
    }
  }
}

type OpenGate = Extract<CommandOf<'run'>, { type: 'open-gate' }>['data']['gate']

/** What the job version says about a step that is done once for the run. */
async function gateOf(
  run: ActiveRun,
  stepId: string,
  commands: Pick<Commands, 'known'>,
): Promise<OpenGate | undefined> {
  const job = await commands.known('job', streams.job(run.request.jobId))
  const version = job.status === 'absent' ? undefined : job.versions.find(v => v.version === run.request.jobVersion)
  const step = version?.steps.find(({ id }) => id === stepId)
  if (step?.uses !== 'approval') return undefined
  const { prompt, quorum, expiresSeconds } = step.with
  return { kind: 'approval', prompt, quorum, expiresSeconds }
}
