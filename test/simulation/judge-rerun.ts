import { streams } from '../../schemas/events.ts'
import { type Case, only, placeOf, type Say } from './record.ts'
import type { World } from './world.ts'

/**
 * What is done once for a run and comes before the first step of a rerun is passed over, and nothing else; of approvals
 * only those that the earlier run was given or passed over itself.
 */
export function judgeRerun({ run, events, version }: Case, world: World, say: Say): void {
  const { fromStep, rerunOf, plan = [] } = run.requested
  const first = plan.findIndex(({ id }) => id === fromStep || id.startsWith(`${fromStep}.`))
  const before = plan.slice(0, Math.max(0, first)).flatMap(({ id, gate }) => (gate ? [id] : []))
  const passed = only(events, 'RunStepSkipped').flatMap(({ data }) => (data.why === 'condition' ? [] : [data.stepId]))
  if (passed.join() !== before.join()) say(`it passes over ${passed} where ${before} come before ${fromStep}`)
  for (const { type, data } of only(events, 'ApprovalRequested', 'SubRunTriggered'))
    if (before.includes(data.stepId)) say(`${type} for ${data.stepId} although the run begins at ${fromStep}`)
  const earlier = rerunOf === undefined ? [] : world.log.stream(streams.run(rerunOf))
  const known = earlier.filter(event => events[0] && placeOf(event) < placeOf(events[0]))
  for (const { id, uses } of version.steps)
    if (uses === 'approval' && before.includes(id))
      if (!only(known, 'ApprovalQuorumReached', 'RunStepSkipped').some(({ data }) => data.stepId === id))
        say(`it passes over ${id}, which ${rerunOf} was never given`)
}
