/** What waits for an answer, as long as there is anybody who could give it. */
export class InFlight {
  readonly #waiting = new Set<() => void>()

  /** What the work comes to, or undefined when `lost` is called before; what it comes to then is not heard. */
  async orLost<T>(work: Promise<T>): Promise<T | undefined> {
    let giveUp = () => {}
    const lost = new Promise<undefined>(resolve => {
      giveUp = () => resolve(undefined)
    })
    this.#waiting.add(giveUp)
    work.catch(() => undefined)
    try {
      return await Promise.race([work, lost])
    } finally {
      this.#waiting.delete(giveUp)
    }
  }

  /** Nobody will answer any of it. */
  lost(): void {
    for (const giveUp of this.#waiting) giveUp()
  }
}
