export type Effect = {
  at: number
  runId: string
  n: number
  stepId: string
  attempt: number
  epoch: number
  executorId: string
  targetId: string
  /** Values that stood for expressions. */
  variables: Readonly<Record<string, string>>
}

/** What really happened on targets, whatever anybody was told of it. */
export class Effects {
  readonly all: Effect[] = []

  add(effect: Effect): void {
    this.all.push(effect)
  }

  /** What a check command would find. */
  happened({ runId, n, stepId }: Pick<Effect, 'runId' | 'n' | 'stepId'>, attempt: number): boolean {
    return this.all.some(e => e.runId === runId && e.n === n && e.stepId === stepId && e.attempt === attempt)
  }
}
