import type { ActiveRun } from './active-run.ts'
import type { ActiveRuns } from './active-runs.ts'

/**
 * Runs of which none will ever go on, because everything that holds them up is among them: a run has its targets while
 * a step of it waits for the run it triggered, which may need the targets of another that waits in the same way.
 */
export function deadlocked(runs: Pick<ActiveRuns, 'all' | 'waitsOf'>): Set<ActiveRun> {
  const stuck = new Map<ActiveRun, ActiveRun[][]>()
  for (const run of runs.all()) {
    const waits = standsStill(run) ? runs.waitsOf(run) : []
    if (waits.length > 0) stuck.set(run, waits)
  }
  // Whoever waits for something that may end is not stuck, and then neither is who waits for that one.
  for (let before = -1; before !== stuck.size; ) {
    before = stuck.size
    for (const [run, waits] of stuck)
      if (waits.some(blockers => !blockers.some(blocker => stuck.has(blocker)))) stuck.delete(run)
  }
  return new Set(stuck.keys())
}

/** The one that ends so that the others can go on: the youngest that a step of another triggered. */
export function givesWay(stuck: ReadonlySet<ActiveRun>): ActiveRun | undefined {
  return [...stuck].findLast(run => run.request.parent !== undefined)
}

/** Nobody works on it, and no time and no person is waited for. */
function standsStill(run: ActiveRun): boolean {
  const { claims, reserved, requeued, delayed, attention } = run
  if (run.status === 'ended' || run.status === 'cancelling' || run.paused || run.available) return false
  if (claims.size + reserved + requeued.size + delayed.size + attention.size > 0) return false
  return ![...run.gates.values()].some(({ status, expiresAt }) => status === 'open' && expiresAt !== undefined)
}
