/** Of targets that are worked on one after another, the one whose turn it is in each group. */
export class SerialGroups {
  readonly #inside = new Map<string, number>()

  /** Whether it is this target's turn, or nobody's. */
  mayEnter(n: number, group: string): boolean {
    const now = this.#inside.get(group)
    return now === undefined || now === n
  }

  enter(n: number, group: string): void {
    this.#inside.set(group, n)
  }

  insiders(): number[] {
    return [...this.#inside.values()]
  }

  isEmpty(group: string): boolean {
    return !this.#inside.has(group)
  }

  /** Answers the groups that are now open to others. */
  leave(n: number): string[] {
    const left = [...this.#inside].filter(([, now]) => now === n).map(([group]) => group)
    for (const group of left) this.#inside.delete(group)
    return left
  }
}
