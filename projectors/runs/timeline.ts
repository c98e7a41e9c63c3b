import { categoryOf, type Recorded } from '../../schemas/events.ts'
import type { RunEvent } from '../../schemas/run.ts'
import type { TargetRunEvent } from '../../schemas/target-run.ts'
import type { State } from '../diff.ts'
import type { RunEventRow } from './tables.ts'

export type Of<E extends { type: string; data: unknown }> = Recorded<E>
export const isRunEvent = (event: Recorded): event is Of<RunEvent> => categoryOf(event.stream) === 'run'
export const isTargetRunEvent = (event: Recorded): event is Of<TargetRunEvent> =>
  categoryOf(event.stream) === 'targetrun'

/** An event as a live stream of its run sends it; undefined for one that is part of no run. */
export function timelineRow(event: Recorded): RunEventRow | undefined {
  const about = runOf(event)
  if (!about) return undefined
  const { commit, prepare } = event.position
  const position = { commit: commit.toString(), prepare: prepare.toString() }
  return { ...about, ...position, type: event.type, at: event.metadata.at, data: timelineData(event) }
}

/** The run, and the target run if any, that an event is part of. */
function runOf(event: Recorded): { runId: string; n: number | null } | undefined {
  if (isRunEvent(event)) return { runId: event.data.runId, n: null }
  if (isTargetRunEvent(event)) return { runId: event.data.runId, n: event.data.n }
  if (categoryOf(event.stream) !== 'release') return undefined
  const { runId, n } = event.data as { runId: string; n: number }
  return { runId, n }
}

/** A resolved set may hold thousands of ids, which the target runs list as well. */
function timelineData(event: Recorded): State {
  if (event.type !== 'TargetsResolved') return event.data
  const { runId, from, targetIds } = event.data
  return { runId, from, targets: targetIds.length }
}
