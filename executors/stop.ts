import type { RenderedStep } from '../schemas/steps/index.ts'

/** `cancelled`: all of the target run; `step-cancelled`: this step alone. */
export type StopReason = 'cancelled' | 'step-cancelled' | 'timed-out' | 'silent'

/** When a step must stop, and why: somebody wants it, its time is over, or nothing was heard of it for too long. */
export class Stop {
  readonly #step: Pick<RenderedStep, 'timeoutSeconds' | 'silenceSeconds'>
  readonly #controller = new AbortController()
  #reason: StopReason | undefined
  #total: NodeJS.Timeout | undefined
  #silence: NodeJS.Timeout | undefined

  constructor(step: Pick<RenderedStep, 'timeoutSeconds' | 'silenceSeconds'>) {
    this.#step = step
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The first reason; undefined while there is none. */
  get reason(): StopReason | undefined {
    return this.#reason
  }

  now(reason: StopReason): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.over()
    this.#controller.abort()
  }

  /** The step's time begins. */
  begin(): void {
    const { timeoutSeconds, silenceSeconds } = this.#step
    if (this.#reason !== undefined || this.#total !== undefined) return
    this.#total = setTimeout(() => this.now('timed-out'), timeoutSeconds * 1_000)
    if (silenceSeconds !== undefined) {
      this.#silence = setTimeout(() => this.now('silent'), silenceSeconds * 1_000)
    }
  }

  /** Something was heard. */
  alive(): void {
    if (this.#reason === undefined) this.#silence?.refresh()
  }

  /** The step has ended: nothing is to be stopped any more. */
  over(): void {
    clearTimeout(this.#total)
    clearTimeout(this.#silence)
    this.#silence = undefined
  }
}
