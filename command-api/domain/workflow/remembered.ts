/** The same answer for the same question without working it out again; at most `max` answers are kept, the newest. */
export function remembered<T>(max: number, work: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return text => {
    const found = known.get(text)
    if (found !== undefined) return found
    const made = work(text)
    const [oldest] = known.keys()
    if (known.size >= max && oldest !== undefined) known.delete(oldest)
    known.set(text, made)
    return made
  }
}
