import type { DoubleQuotedChild, Word, WordPart } from 'unbash'
import { bounds } from '../bounds.ts'
import { mark } from '../text.ts'
import { braces } from './braces.ts'
import type { Expander } from './expander-types.ts'
import { parameter } from './parameter.ts'

/** Each alternative is what one word may become: the fields that braces make of it. */
type Alternatives = string[][]

/** The words one word may become, for every value its variables may have. Each alternative is a list of fields. */
export function expandWord(word: Word, expander: Expander): string[][] {
  const parts = word.parts
  if (!parts) return [[tilde(word.text, word.value)]]
  const quoted = parts.some(part => part.type.includes('Quoted') || part.type === 'LocaleString')
  const alternatives = parts.reduce<Alternatives>(
    (before, part, index) => combine(before, expandPart(part, index === 0, expander)),
    [['']],
  )
  return alternatives.map(variants =>
    variants
      .flatMap(variant => variant.split(mark.split))
      .filter(field => quoted || field !== '')
      .slice(0, bounds.fields),
  )
}

/** The values of a word that is not split: an assignment, the target of a redirection, a here-string. */
export function expandValues(word: Word, expander: Expander): string[] {
  return expandWord(word, expander).map(fields => fields.join(' '))
}

function combine(before: Alternatives, after: Alternatives): Alternatives {
  const all = before.flatMap(left => after.map(right => product(left, right)))
  return all.length <= bounds.alternatives ? all : [...all.slice(0, bounds.alternatives - 1), [mark.unknown]]
}

function product(left: string[], right: string[]): string[] {
  const all =
    left.length === 1 && right.length === 1 ? [`${left[0]}${right[0]}`] : left.flatMap(l => right.map(r => l + r))
  return all.slice(0, bounds.fields).map(value => (value.length > bounds.value ? mark.unknown : value))
}

const single = (values: string[]): Alternatives => values.map(value => [value])

function expandPart(part: WordPart, first: boolean, expander: Expander): Alternatives {
  switch (part.type) {
    case 'Literal':
      return [[first ? tilde(part.text, part.value) : part.value]]
    case 'SingleQuoted':
    case 'AnsiCQuoted':
      return [[part.value]]
    case 'DoubleQuoted':
    case 'LocaleString':
      return single(expandQuoted(part.parts, expander))
    case 'Glob':
      return [[part.kind === 'star' ? mark.star : mark.any]]
    case 'ExtendedGlob':
      return [[mark.star]]
    case 'BraceExpansion':
      return [braces(part.text, text => expandText(text, expander))]
    case 'ProcessSubstitution':
      return [[expander.process(part)]]
    case 'SimpleExpansion':
    case 'ParameterExpansion':
    case 'CommandExpansion':
    case 'ArithmeticExpansion':
      return single(expandChild(part, expander).map(unquoted))
  }
}

/** Text between double quotes, and of here-documents. */
export function expandQuoted(parts: readonly (DoubleQuotedChild | WordPart)[], expander: Expander): string[] {
  return parts
    .map(part => expandInQuotes(part, expander))
    .reduce<string[]>((before, after) => combine(single(before), single(after)).map(([value = '']) => value), [''])
}

function expandInQuotes(part: DoubleQuotedChild | WordPart, expander: Expander): string[] {
  switch (part.type) {
    case 'Literal':
      return [part.value]
    case 'SimpleExpansion':
    case 'ParameterExpansion':
    case 'CommandExpansion':
    case 'ArithmeticExpansion':
      return expandChild(part, expander)
    default:
      return [part.text]
  }
}

function expandChild(
  part: Extract<
    WordPart,
    { type: 'SimpleExpansion' | 'ParameterExpansion' | 'CommandExpansion' | 'ArithmeticExpansion' }
  >,
  expander: Expander,
): string[] {
  switch (part.type) {
    case 'SimpleExpansion':
      return parameter({ name: part.text.slice(1) }, expander)
    case 'ParameterExpansion': {
      const { parameter: name, prefix, index, operation } = part
      return parameter({ name, prefix, index, operation }, expander)
    }
    case 'CommandExpansion':
      return expander.substitute(part.script)
    case 'ArithmeticExpansion':
      return [mark.some]
  }
}

function expandText(text: string, expander: Expander): string[] {
  if (text === '') return ['']
  const word = expander.parseWord(text)
  return word ? expandWord(word, expander).flat() : [mark.unknown]
}

// An unquoted value is split at blanks, and its own stars and question marks match names.
function unquoted(value: string): string {
  return value
    .replaceAll(/[ \t\n]+/g, mark.split)
    .replaceAll('*', mark.star)
    .replaceAll(/[?[\]]/g, mark.any)
}

function tilde(text: string, value: string): string {
  if (!text.startsWith('~')) return value
  const name = /^~([A-Za-z_][\w.-]*)?(?=\/|$)/.exec(value)
  if (!name) return value
  const home = name[1] === undefined ? mark.home : name[1] === 'root' ? '/root' : `/home/${name[1]}`
  return home + value.slice(name[0].length)
}
