/** A word as shell text that expands to itself. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}
