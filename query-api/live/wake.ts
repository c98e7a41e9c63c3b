/** Something may have happened: a signal that is not lost when it comes before anybody waits. */
export class Wake {
  #pending = false
  #resolve: (() => void) | undefined

  up(): void {
    this.#pending = true
    this.#resolve?.()
  }

  /** Resolves at the next signal, after `ms`, or when the signal aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#pending && !signal.aborted) {
      await new Promise<void>(resolve => {
        const done = () => {
          clearTimeout(timer)
          signal.removeEventListener('abort', done)
          resolve()
        }
        const timer = setTimeout(done, ms)
        signal.addEventListener('abort', done, { once: true })
        this.#resolve = done
      })
    }
    this.#resolve = undefined
    this.#pending = false
  }
}
