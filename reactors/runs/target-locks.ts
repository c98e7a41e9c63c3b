import type { ActiveRun } from './active-run.ts'

type Owner = { run: ActiveRun; alone: boolean }
type Lock = { owners: Map<string, Owner>; waiting: Set<ActiveRun> }

const key = (run: ActiveRun, n: number) => `${run.runId}.${n}`

/**
 * Who may work on a target: one target run that wants it for itself, or any number that share it. Held from the first
 * claim to the end of the target run, so that another run does not come in between its steps. What a run triggers
 * belongs to its family and works on what that has.
 */
export class TargetLocks {
  readonly #locks = new Map<string, Lock>()

  /** All of them or none. False when somebody else has one; the run is told by `release` when it may try again. */
  take(run: ActiveRun, numbers: readonly number[]): boolean {
    const me = ownerOf(run)
    for (const n of numbers) {
      const lock = this.#locks.get(run.targetIds[n] ?? '')
      if (!lock || !isInUse(lock, me)) continue
      lock.waiting.add(run)
      return false
    }
    for (const n of numbers) this.#of(run, n).owners.set(key(run, n), me)
    return true
  }

  /** The runs that have one of these targets, which this one cannot have meanwhile. */
  holders(run: ActiveRun, numbers: readonly number[]): ActiveRun[] {
    const me = ownerOf(run)
    const owners = numbers.flatMap(n => [...(this.#locks.get(run.targetIds[n] ?? '')?.owners.values() ?? [])])
    return owners.filter(other => excludes(other, me)).map(other => other.run)
  }

  /** Answers the runs that wait for the target and may try now. */
  release(run: ActiveRun, n: number): ActiveRun[] {
    const targetId = run.targetIds[n] ?? ''
    const lock = this.#locks.get(targetId)
    if (!lock?.owners.delete(key(run, n))) return []
    const waiting = [...lock.waiting]
    lock.waiting.clear()
    if (lock.owners.size === 0) this.#locks.delete(targetId)
    for (const each of waiting) {
      each.waitsForTargets = false
      each.unhold((hold, m) => hold === 'target' && each.targetIds[m] === targetId)
    }
    return waiting
  }

  #of(run: ActiveRun, n: number): Lock {
    const targetId = run.targetIds[n] ?? ''
    const known = this.#locks.get(targetId)
    if (known) return known
    const lock: Lock = { owners: new Map(), waiting: new Set() }
    this.#locks.set(targetId, lock)
    return lock
  }
}

const ownerOf = (run: ActiveRun): Owner => ({ run, alone: run.request.access !== 'shared' })

const isInUse = ({ owners }: Lock, me: Owner): boolean => [...owners.values()].some(other => excludes(other, me))

const excludes = (other: Owner, me: Owner): boolean => other.run.family !== me.run.family && (other.alone || me.alone)
