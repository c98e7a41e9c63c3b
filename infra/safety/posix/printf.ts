import { mark } from '../text.ts'

const simple: Record<string, string> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  e: '\x1b',
  '"': '"',
  "'": "'",
}

/** Backslash escapes as printf and `echo -e` read them. */
export function decodeEscapes(text: string): string {
  return text.replace(
    /\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|0?[0-7]{1,3}|.)/gs,
    (whole, code: string) => {
      if (/^[xuU]./.test(code)) return fromCode(Number.parseInt(code.slice(1), 16))
      if (/^[0-7]/.test(code)) return fromCode(Number.parseInt(code, 8))
      return simple[code] ?? whole
    },
  )
}

const fromCode = (code: number) => (code <= 0x10ffff ? String.fromCodePoint(code) : '')

/** What `printf format values…` prints; the format is used again while values are left. */
export function printf(format: string, values: readonly string[]): string {
  const left = [...values]
  let printed = ''
  do {
    const before = left.length
    printed += once(decodeEscapes(format), left)
    if (left.length === before) break
  } while (left.length > 0 && printed.length < 4096)
  return printed
}

function once(format: string, left: string[]): string {
  return format.replace(
    /%(%|\(([^)]*)\)T|[-#0 +']*\*?\d*(?:\.\d+)?([a-zA-Z]))/g,
    (_, spec: string, _time, letter?: string) => {
      if (spec === '%') return '%'
      const value = left.shift() ?? ''
      if (letter === 's' || letter === 'q') return value
      if (letter === 'b') return decodeEscapes(value)
      if (letter === 'c') return value.slice(0, 1)
      if (/^-?\d+$/.test(value) && /[diu]/.test(letter ?? '')) return value
      return mark.some
    },
  )
}
