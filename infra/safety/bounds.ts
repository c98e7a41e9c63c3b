/** What judging one command may cost. Whatever is larger is not judged to the end and asks for a person. */
export const bounds = {
  /** Characters of the command. */
  input: 65_536,
  /** Shells inside shells, wrappers inside wrappers, calls of functions. */
  depth: 24,
  /** Steps of the walk over parsed text, over all shells inside the command. */
  steps: 20_000,
  /** Facts kept. */
  facts: 400,
  /** Values one variable or word may have. */
  alternatives: 24,
  /** Words one word may grow to (braces, splitting). */
  fields: 256,
  /** Characters of one computed value. */
  value: 65_536,
} as const

/** Counts what is spent; says once why it ended. Walkers ask before each step and give up quietly. */
export type Budget = {
  /** False when there is nothing left. */
  spend(depth: number): boolean
  exceed(what: string): void
  readonly exceeded: string | null
}

export function createBudget(): Budget {
  let steps = 0
  let exceeded: string | null = null
  const exceed = (what: string) => {
    exceeded ??= what
  }
  return {
    spend(depth) {
      steps += 1
      if (steps > bounds.steps) exceed('more steps than are looked at')
      if (depth > bounds.depth) exceed('commands nested deeper than are looked at')
      return steps <= bounds.steps && depth <= bounds.depth
    },
    exceed,
    get exceeded() {
      return exceeded
    },
  }
}
