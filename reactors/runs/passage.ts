import type { PlannedStep } from '../../schemas/run.ts'

/**
 * How far each target of a run has come along the plan, counted so that a barrier is told in constant time. Targets
 * that ended count as past everything.
 */
export class Passage {
  readonly #index = new Map<string, number>()
  readonly #plan: readonly PlannedStep[]
  readonly #progress: number[] = []
  /** Places a target is over with although it is not with one before. */
  readonly #over = new Map<number, Set<number>>()
  /** For each place of the plan, how many targets are over with everything on targets before it. */
  readonly #reached: number[]

  constructor(plan: readonly PlannedStep[]) {
    this.#plan = plan
    for (const [i, step] of plan.entries()) this.#index.set(step.id, i)
    this.#reached = Array.from({ length: plan.length + 1 }, () => 0)
  }

  /** Whether targets wait for each other anywhere. */
  get joins(): boolean {
    return this.#plan.some(step => step.barrier || step.gate)
  }

  get gates(): PlannedStep[] {
    return this.#plan.filter(step => step.gate)
  }

  /**
   * The target is over with this step, which may be told before that it is over with an earlier one: steps that are
   * left out are. Steps outside the plan (undo, handlers) count for nothing.
   */
  passed(n: number, stepId: string): void {
    const index = this.#index.get(stepId)
    if (index === undefined) return
    const over = this.#over.get(n) ?? new Set()
    over.add(index)
    let to = this.#progress[n] ?? 0
    while (to < this.#plan.length && (over.has(to) || this.#plan[to]?.gate)) {
      over.delete(to)
      to += 1
    }
    if (over.size > 0) this.#over.set(n, over)
    else this.#over.delete(n)
    this.#advance(n, to)
  }

  ended(n: number): void {
    this.#over.delete(n)
    this.#advance(n, this.#plan.length)
  }

  /** Whether `scope` targets are over with what comes before this step, of which these `others` are none. */
  allBefore(stepId: string, scope: number, others: readonly number[] = []): boolean {
    const index = this.#index.get(stepId)
    const place = index === undefined ? 0 : this.#lastOnTargets(index)
    if (place === 0) return true
    const wrong = others.filter(n => (this.#progress[n] ?? 0) >= place).length
    return (this.#reached[place] ?? 0) - wrong >= scope
  }

  /** The gates that must have been passed before this step. */
  gatesBefore(stepId: string): string[] {
    const index = this.#index.get(stepId)
    if (index === undefined) return []
    return this.#plan.flatMap((step, i) => (step.gate && i < index ? [step.id] : []))
  }

  isBarrier(stepId: string): boolean {
    const index = this.#index.get(stepId)
    return index !== undefined && this.#plan[index]?.barrier === true
  }

  /** Nothing on targets comes between two gates: the place before them is the one before the first. */
  #lastOnTargets(index: number): number {
    let place = index
    while (place > 0 && this.#plan[place - 1]?.gate) place -= 1
    return place
  }

  #advance(n: number, to: number): void {
    const from = this.#progress[n] ?? 0
    for (let place = from + 1; place <= to; place++) this.#reached[place] = (this.#reached[place] ?? 0) + 1
    if (to > from) this.#progress[n] = to
  }
}
