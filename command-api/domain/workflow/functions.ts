import type { Budget } from './budget.ts'
import { patternOf, patternProblem } from './pattern.ts'
import { TemplateError } from './template-error.ts'
import { isList, isMap, plainText, toJson, typeName, type Value } from './value.ts'

type Fn = (args: readonly Value[], budget: Budget) => Value

const mismatch = (name: string, args: readonly Value[]) =>
  new TemplateError(`${name} is not for ${args.map(typeName).join(', ') || 'nothing'}`)

/** On strings only; what it makes is paid for by the length of what it was given. */
const onStrings =
  (name: string, work: (...texts: string[]) => Value): Fn =>
  (args, budget) => {
    const texts = args.filter(arg => typeof arg === 'string')
    if (texts.length !== args.length) throw mismatch(name, args)
    budget.write(texts.reduce((sum, text) => sum + text.length, 0))
    return work(...texts)
  }

/** Code points, as CEL counts them. */
const codePoints = (text: string) => BigInt([...text].length)

const size: Fn = (args, budget) => {
  const [of] = args
  if (typeof of === 'string') {
    budget.write(of.length)
    return codePoints(of)
  }
  if (of !== undefined && isList(of)) return BigInt(of.length)
  if (of !== undefined && isMap(of)) return BigInt(Object.keys(of).length)
  throw mismatch('size', args)
}

const INT = /^[+-]?\d{1,19}$/
const int: Fn = args => {
  const [of] = args
  if (typeof of === 'bigint') return of
  if (typeof of === 'number' && Number.isFinite(of)) return BigInt(Math.trunc(of))
  if (typeof of === 'string' && INT.test(of)) return BigInt(of.replace('+', ''))
  throw mismatch('int()', args)
}
const double: Fn = args => {
  const [of] = args
  if (typeof of === 'bigint' || typeof of === 'number') return Number(of)
  if (typeof of === 'string' && of.trim() === of && of !== '' && Number.isFinite(Number(of))) return Number(of)
  throw mismatch('double()', args)
}
const string: Fn = (args, budget) => {
  const text = plainText(args[0] ?? null)
  if (text === undefined) throw mismatch('string()', args)
  budget.write(text.length)
  return text
}
const bool: Fn = args => {
  const [of] = args
  if (typeof of === 'boolean') return of
  if (of === 'true' || of === 'false') return of === 'true'
  throw mismatch('bool()', args)
}

const json: Fn = (args, budget) => {
  const text = JSON.stringify(toJson(args[0] ?? null))
  budget.write(text.length)
  return text
}

const join: Fn = (args, budget) => {
  const [list, separator = ''] = args
  if (list === undefined || !isList(list) || typeof separator !== 'string') throw mismatch('join', args)
  const texts = list.map(plainText)
  if (!texts.every(text => text !== undefined)) throw new TemplateError('join is for lists of plain values')
  budget.write(texts.reduce((sum, text) => sum + text.length + separator.length, 0))
  return texts.join(separator)
}

const split = onStrings('split', (text, by = '') => text.split(by))

const substring: Fn = (args, budget) => {
  const [text, from, to] = args
  if (typeof text !== 'string' || typeof from !== 'bigint') throw mismatch('substring', args)
  const end = typeof to === 'bigint' ? Number(to) : text.length
  const start = Number(from)
  if (start < 0 || end > text.length || start > end) throw new TemplateError('substring beyond the ends of the text')
  budget.write(end - start)
  return text.slice(start, end)
}

const replace: Fn = (args, budget) => {
  const [text, what, by] = args
  if (typeof text !== 'string' || typeof what !== 'string' || typeof by !== 'string') throw mismatch('replace', args)
  const parts = text.split(what)
  budget.write(text.length + parts.length * by.length)
  return parts.join(by)
}

const matches: Fn = (args, budget) => {
  const [text, pattern] = args
  if (typeof text !== 'string' || typeof pattern !== 'string') throw mismatch('matches', args)
  const problem = pattern.length > 500 ? 'the pattern is longer than 500 characters' : patternProblem(pattern)
  if (problem !== undefined) throw new TemplateError(`matches: ${problem}`)
  const compiled = patternOf(pattern)
  budget.spend((text.length * compiled.size) >> 5)
  return compiled.isFoundIn(text)
}

const ascii = (text: string, letters: RegExp, change: (letter: string) => string) => text.replace(letters, change)

/** `size(x)` … */
export const functions: Readonly<Record<string, Fn>> = {
  size,
  int,
  double,
  string,
  bool,
  json,
  dyn: ([of = null]) => of,
  urlEncode: onStrings('urlEncode', text => encodeURIComponent(text.replace(/\p{Cs}/gu, '\uFFFD'))),
}
/** `x.size()` …: the receiver is the first argument. */
export const methods: Readonly<Record<string, Fn>> = {
  size,
  contains: onStrings('contains', (text, part = '') => text.includes(part)),
  startsWith: onStrings('startsWith', (text, part = '') => text.startsWith(part)),
  endsWith: onStrings('endsWith', (text, part = '') => text.endsWith(part)),
  matches,
  lowerAscii: onStrings('lowerAscii', text => ascii(text, /[A-Z]/g, c => c.toLowerCase())),
  upperAscii: onStrings('upperAscii', text => ascii(text, /[a-z]/g, c => c.toUpperCase())),
  trim: onStrings('trim', text => text.trim()),
  indexOf: onStrings('indexOf', (text, part = '') => BigInt(text.indexOf(part))),
  lastIndexOf: onStrings('lastIndexOf', (text, part = '') => BigInt(text.lastIndexOf(part))),
  split,
  join,
  substring,
  replace,
}
/** The type checker knows the rest by itself. */
export const ownSignatures = [
  'json(dyn): string',
  'urlEncode(string): string',
  'string.replace(string, string): string',
  'list.join(): string',
  'list.join(string): string',
]
