import { isFinished } from '../../command-api/domain/index.ts'
import { isTargetRunFinished } from '../../command-api/domain/target-run-state.ts'
import { judgeRun } from './judge-run.ts'
import { judgeSharing } from './judge-sharing.ts'
import { judgeTargetRun } from './judge-target-run.ts'
import { byTargetRun, type Case, casesOf, type Say } from './record.ts'
import type { World } from './world.ts'

/** What was promised and not kept in a world that came to its end, in words; empty when everything was. */
export function judge(world: World): string[] {
  const broken: string[] = [...world.wrongs]
  const say = (what: string) => void broken.push(what)
  const cases = casesOf(world)
  for (const each of cases) {
    judgeRun(each, world, say)
    for (const [n, events] of byTargetRun(each, world)) judgeTargetRun({ ...each, n, events }, world, say)
  }
  if (world.finished) for (const each of cases) allSettled(each, world, say)
  judgeSharing(cases, world, say)
  if (!world.finished) for (const { runId, run } of cases) if (!isFinished(run)) say(stuck(runId, run))
  if (world.finished && world.remembered > 0) say(`${world.remembered} runs that have ended are still in memory`)
  return broken
}

/** Of a run that has ended nothing is left half done: it ended, never began, or waits for a person. */
function allSettled({ runId, ...of }: Case, world: World, say: Say): void {
  for (const n of of.run.targetIds.keys()) {
    const state = world.log.targetRun(runId, n)
    const settled = isTargetRunFinished(state) || state.status === 'absent' || state.status === 'needs-attention'
    if (!settled) say(`${runId.slice(0, 8)}.${n} is ${state.status} although its run has ended`)
  }
}

const stuck = (runId: string, run: Case['run']) => `run ${runId} never ended: ${run.status}`
