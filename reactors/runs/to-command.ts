import type { CommandOf } from '../../command-api/domain/index.ts'
import { derivedId } from '../../infra/ids.ts'
import type { Commands } from '../commands.ts'
import { type ActiveRun, attentionOf } from './active-run.ts'
import { type Outdated, outdated } from './agreements.ts'
import { type GateCommands, openGate } from './gates.ts'
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
  commands: GateCommands & Pick<Commands, 'whyDenied'>,
): Promise<Message | undefined> {
  const { runId } = run.request
  const ofRun = (command: CommandOf<'run'>, ...more: string[]): Message => ({
    ...{ name: 'run', command, commandId: derivedId(action.type, runId, ...more) },
  })
  const ofTarget = (command: CommandOf<'targetRun'>, n: number, ...more: string[]): Message => ({
    ...{ name: 'targetRun', command, commandId: derivedId(action.type, runId, n, run.lastEpoch(n), ...more) },
  })
  switch (action.type) {
    case 'start-run': {
      const other = run.everClaimed ? undefined : await outdated(run, '', commands)
      return other ? voiding(run, other) : ofRun({ type: 'start-run', data: { runId } })
    }
    case 'time-out-run':
      return ofRun({ type: 'time-out-run', data: { runId } })
    case 'finish-run':
      return ofRun({ type: 'finish-run', data: { runId, counts: action.counts } })
    case 'report-attention': {
      const { counts, resolved } = action
      const data = { runId, counts, ...(resolved > 0 && { resolved }) }
      return ofRun({ type: 'report-attention', data }, attentionOf(data))
    }
    case 'stop-run':
      return ofRun({ type: 'stop-run', data: { runId, failed: action.failed } })
    case 'check-right': {
      const detail = await commands.whyDenied(run.request)
      if (detail === undefined) return undefined
      return ofRun({ type: 'reject-run', data: { runId, why: 'not-permitted', detail } }, 'not-permitted')
    }
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
      const other = await outdated(run, action.stepId, commands)
      if (other) return voiding(run, other)
      const gate = await openGate(run, action.stepId, commands)
      return ofRun(
        { type: 'open-gate', data: { runId, stepId: action.stepId, gate } },
        action.stepId,
        ...run.timesVoided(action.stepId),
      )
    }
    case 'close-sub-run': {
      const { stepId, subRunId, status } = action
      return ofRun({ type: 'close-sub-run', data: { runId, stepId, subRunId, status } }, stepId)
    }
    case 'cancel-sub-run': {
      const reason = `the run ${runId} that triggered it is being cancelled`
      return ofRun({ type: 'cancel-run', data: { runId: action.runId, reason } }, action.runId)
    }
    case 'give-way': {
      const reason = 'it and other runs wait for each other: it was triggered last'
      return ofRun({ type: 'cancel-run', data: { runId, reason } })
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

/** An approval is void once, however many notice. */
export function voiding(run: ActiveRun, { stepId, digest, changes }: Outdated) {
  const { runId } = run.request
  const commandId = derivedId('void-approval', runId, stepId, ...run.timesVoided(stepId))
  const command = { type: 'void-approval' as const, data: { runId, stepId, digest, changes } }
  return { name: 'run' as const, commandId, command }
}
