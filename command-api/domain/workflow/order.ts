type Node = { id: string; needs?: readonly string[] | undefined }

/** Steps that must be over before each: those it names, else the one before it in the list. */
export function needsOf<N extends Node>(steps: readonly N[]): Map<string, readonly string[]> {
  return new Map(
    steps.map(({ id, needs }, i) => {
      const before = steps[i - 1]
      return [id, needs ?? (before ? [before.id] : [])]
    }),
  )
}

/** Steps in an order in which every one comes after what it needs, and else as the author listed them. */
export function inOrder<N extends Node>(steps: readonly N[]): N[] {
  const needs = needsOf(steps)
  const left = [...steps]
  const done = new Set<string>()
  const ordered: N[] = []
  const known = new Set(steps.map(step => step.id))
  while (left.length > 0) {
    const at = left.findIndex(({ id }) => (needs.get(id) ?? []).every(need => done.has(need) || !known.has(need)))
    const [next] = left.splice(Math.max(at, 0), 1)
    if (!next) break
    done.add(next.id)
    ordered.push(next)
  }
  return ordered
}

/** The steps that come before this one, in whose place a run begins; none without it. */
export function stepsBefore(steps: readonly Node[], fromStep: string | undefined): ReadonlySet<string> {
  if (fromStep === undefined) return new Set()
  const ids = inOrder(steps).map(({ id }) => id)
  return new Set(ids.slice(0, Math.max(0, ids.indexOf(fromStep))))
}

/** The steps of a circle of needs, the first one again at the end; undefined when there is none. */
export function cycleIn(steps: readonly Node[]): string[] | undefined {
  const needs = needsOf(steps)
  const clear = new Set<string>()
  const visit = (id: string, path: string[]): string[] | undefined => {
    const at = path.indexOf(id)
    if (at >= 0) return [...path.slice(at), id]
    if (clear.has(id)) return undefined
    for (const need of needs.get(id) ?? []) {
      const found = visit(need, [...path, id])
      if (found) return found
    }
    clear.add(id)
    return undefined
  }
  for (const { id } of steps) {
    const found = visit(id, [])
    if (found) return found
  }
  return undefined
}
