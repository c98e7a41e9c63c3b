import type { ActiveRun } from './active-run.ts'

type Lock = { exclusive: string | undefined; shared: Set<string>; waiting: Set<ActiveRun> }

const key = (run: ActiveRun, n: number) => `${run.runId}.${n}`

/**
 * Who may work on a target: one target run that wants it for itself, or any number that share it. Held from the first
 * claim to the end of the target run, so that another run does not come in between its steps.
 */
export class TargetLocks {
  readonly #locks = new Map<string, Lock>()

  /** False when somebody else has it; the run is told by `release` when it may try again. */
  take(run: ActiveRun, n: number): boolean {
    const targetId = run.targetIds[n] ?? ''
    const lock = this.#locks.get(targetId) ?? { exclusive: undefined, shared: new Set(), waiting: new Set() }
    const me = key(run, n)
    const alone = run.request.access !== 'shared'
    const others = lock.exclusive !== undefined && lock.exclusive !== me
    if (others || (alone && [...lock.shared].some(other => other !== me))) {
      lock.waiting.add(run)
      return false
    }
    if (alone) lock.exclusive = me
    else lock.shared.add(me)
    this.#locks.set(targetId, lock)
    return true
  }

  /** Answers the runs that wait for the target and may try now. */
  release(run: ActiveRun, n: number): ActiveRun[] {
    const targetId = run.targetIds[n] ?? ''
    const lock = this.#locks.get(targetId)
    if (!lock) return []
    const me = key(run, n)
    if (lock.exclusive === me) lock.exclusive = undefined
    lock.shared.delete(me)
    const waiting = [...lock.waiting]
    lock.waiting.clear()
    if (lock.exclusive === undefined && lock.shared.size === 0) this.#locks.delete(targetId)
    for (const each of waiting) each.unhold((hold, m) => hold === 'target' && each.targetIds[m] === targetId)
    return waiting
  }
}
