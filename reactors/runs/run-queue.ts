import type { ActiveRun } from './active-run.ts'

const DEFAULT_PRIORITY = 5
const DEFAULT_POOL = 'default'

export const poolOf = (run: ActiveRun): string => run.request.pool ?? DEFAULT_POOL
const priorityOf = (run: ActiveRun): number => run.request.priority ?? DEFAULT_PRIORITY

/** Jobs in the order of their turns; of each job its runs in the order of theirs. */
type Turns = Map<string, Set<ActiveRun>>

/** Runs with something to claim: by pool, the highest priority first; jobs take turns, and the runs of a job too. */
export class RunQueue {
  readonly #turns = new Map<string, Turns>()

  add(run: ActiveRun): void {
    const turns = this.#of(poolOf(run), priorityOf(run))
    const runs = turns.get(run.request.jobId)
    if (runs) runs.add(run)
    else turns.set(run.request.jobId, new Set([run]))
  }

  remove(run: ActiveRun): void {
    const turns = this.#of(poolOf(run), priorityOf(run))
    const runs = turns.get(run.request.jobId)
    runs?.delete(run)
    if (runs?.size === 0) turns.delete(run.request.jobId)
  }

  /** The run whose turn it is of those that fit; it goes to the end of the queue, and so does its job. */
  next(pool: string, fits: (run: ActiveRun) => boolean): ActiveRun | undefined {
    for (let priority = 0; priority <= 9; priority++) {
      const turns = this.#turns.get(`${pool} ${priority}`)
      const run = turns && turn(turns, fits)
      if (run) return run
    }
    return undefined
  }

  #of(pool: string, priority: number): Turns {
    const name = `${pool} ${priority}`
    const known = this.#turns.get(name)
    if (known) return known
    const turns: Turns = new Map()
    this.#turns.set(name, turns)
    return turns
  }
}

function turn(turns: Turns, fits: (run: ActiveRun) => boolean): ActiveRun | undefined {
  for (const [jobId, runs] of turns) {
    for (const run of runs) {
      if (!fits(run)) continue
      runs.delete(run)
      runs.add(run)
      turns.delete(jobId)
      turns.set(jobId, runs)
      return run
    }
  }
  return undefined
}
