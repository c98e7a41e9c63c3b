/**
 * Values that are only partly known are strings in which one private-use character stands for what is not known.
 * The same characters in the input itself are replaced before parsing, so they cannot be forged.
 */
export const mark = {
  /** Anything, possibly nothing: a variable that is set nowhere in the text. */
  unknown: '\uE000',
  /** Something without a slash: a number, a date, a host name. */
  some: '\uE001',
  /** Anything but nothing: `${X:?}`, `${X:-x}`. */
  present: '\uE002',
  /** Unquoted `*` and its like. */
  star: '\uE003',
  /** Unquoted `?`, `[…]`. */
  any: '\uE004',
  /** The home folder of whoever runs the command. */
  home: '\uE005',
  /** The folder the command starts in. */
  cwd: '\uE006',
  /** A boundary between words, made by splitting an unquoted value. */
  split: '\uE007',
  /** Unknown text that was read from something secret. */
  secret: '\uE008',
  /** Text that came over the network. */
  network: '\uE009',
  /** Text that was decoded from something that cannot be seen. */
  decoded: '\uE00A',
} as const

const shown: Record<string, string> = {
  [mark.unknown]: '${?}',
  [mark.some]: '${*}',
  [mark.present]: '${?}',
  [mark.star]: '*',
  [mark.any]: '?',
  [mark.home]: '~',
  [mark.cwd]: '.',
  [mark.split]: ' ',
  [mark.secret]: '${secret}',
  [mark.network]: '${network}',
  [mark.decoded]: '${decoded}',
}

/** Takes the private meaning out of foreign text. */
export function withoutMarks(text: string): string {
  return text.replace(/[\uE000-\uE00A]/g, '\uFFFD')
}

/** For people: what is not known is shown as `${?}`. */
export function show(value: string): string {
  return value.replace(/[\uE000-\uE00A]/g, character => shown[character] ?? character)
}

/** True when the value is not known to the last character (patterns and home are known). */
export function isDynamic(value: string): boolean {
  return /[\uE000\uE001\uE002\uE008-\uE00A]/.test(value)
}

/** True when text of any shape may be hidden in the value. */
export function isOpen(value: string): boolean {
  return /[\uE000\uE002\uE008-\uE00A]/.test(value)
}

export function hasPattern(value: string): boolean {
  return /[\uE003\uE004]/.test(value)
}

/** A pattern with marks as a regular expression over the whole of a name; `*` also stands for what is not known. */
export function patternOf(value: string, flags = ''): RegExp {
  // More stars than anybody writes: matching them could take for ever, and such a pattern may well mean anything.
  if ((value.match(/[\uE000\uE002\uE003]+/g)?.length ?? 0) > 6) return /^.*$/s
  const source = [...value].map(character => {
    if (character === mark.star || character === mark.unknown || character === mark.present) return '.*'
    if (character === mark.some) return '.+'
    if (character === mark.any) return '.'
    return character.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
  })
  return new RegExp(`^${source.join('')}$`.replace(/(\.\*)+/g, '.*'), `s${flags}`)
}

const compiled = new Map<string, RegExp>()

/** A plain glob of a rule (`*` only), case-insensitive. */
export function globMatches(glob: string, text: string): boolean {
  if (!glob.includes('*')) return glob.length === text.length && glob.toLowerCase() === text.toLowerCase()
  const known = compiled.get(glob)
  if (known) return known.test(text)
  // Rules are few and stay; a process that judges with ever new ones must not grow for it.
  if (compiled.size > 10_000) compiled.clear()
  const pattern = patternOf(glob.replaceAll('*', mark.star), 'i')
  compiled.set(glob, pattern)
  return pattern.test(text)
}
