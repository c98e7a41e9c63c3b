import { bounds } from '../bounds.ts'
import { mark } from '../text.ts'

const sequence = /^(-?\w+)\.\.(-?\w+)(?:\.\.-?\d+)?$/

/** The pieces of `{a,b}` or `{1..3}`; each is expanded as a word of its own. */
export function braces(text: string, expand: (piece: string) => string[]): string[] {
  const inner = text.slice(1, -1)
  const range = sequence.exec(inner)
  if (range) return series(range[1] ?? '', range[2] ?? '')
  return pieces(inner).flatMap(expand).slice(0, bounds.fields)
}

function series(from: string, to: string): string[] {
  const numeric = /^-?\d+$/
  const [first, last] =
    numeric.test(from) && numeric.test(to) ? [Number(from), Number(to)] : [from.charCodeAt(0), to.charCodeAt(0)]
  if (from.length > 1 && !numeric.test(from)) return [mark.some]
  if (Math.abs(last - first) >= bounds.fields) return [mark.some]
  const step = first <= last ? 1 : -1
  const values = Array.from({ length: Math.abs(last - first) + 1 }, (_, index) => first + index * step)
  return values.map(value => (numeric.test(from) ? String(value) : String.fromCharCode(value)))
}

// Splits at the commas of the outermost level; quotes and nested braces keep theirs.
function pieces(inner: string): string[] {
  const found: string[] = []
  let [start, depth, quote] = [0, 0, '']
  for (let at = 0; at < inner.length; at += 1) {
    const character = inner[at] ?? ''
    if (character === '\\') at += 1
    else if (quote) quote = character === quote ? '' : quote
    else if (character === "'" || character === '"') quote = character
    else if ('{('.includes(character)) depth += 1
    else if ('})'.includes(character)) depth -= 1
    else if (character === ',' && depth === 0) {
      found.push(inner.slice(start, at))
      start = at + 1
    }
  }
  return [...found, inner.slice(start)]
}
