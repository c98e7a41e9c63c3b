/** Levenshtein distance: how many letters must be added, dropped or changed. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, x] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, y] of [...b].entries()) {
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (x === y ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1) ?? 0
}

/** What was probably meant: the closest known word if it is close enough. Words over 64 letters are not tried. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > 64) return undefined
  const ranked = known.map(k => [distance(word, k), k] as const).sort((x, y) => x[0] - y[0])
  const best = ranked[0]
  return best && best[0] <= Math.max(2, word.length / 3) ? best[1] : undefined
}
