import { commonPassphrases, commonWords } from './common-passphrases.ts'

const MIN_CHARACTERS = 15
/** What must be left of it without the words everybody would try first. */
const MIN_OF_ITS_OWN = 8
const MIN_DISTINCT = 6
const PRODUCT = ['opsconductor', 'ops conductor', 'conductor']
const KEYBOARDS = [
  '1234567890',
  'abcdefghijklmnopqrstuvwxyz',
  'qwertyuiopasdfghjklzxcvbnm',
  'qwertzuiopasdfghjklyxcvbnm',
]

/**
 * What is wrong with a passphrase, in words for whoever chose it; nothing when it is good (NIST SP 800-63B-4 section
 * 3.1.1: long, no rules about which characters, none of the common ones, none that the context gives away). `context` is
 * what somebody would guess first of this person: login name, name, address. Never repeats the passphrase.
 */
export function passphraseProblems(passphrase: string, context: readonly string[]): string[] {
  const text = passphrase.normalize('NFKC')
  const problems: string[] = []
  if ([...text].length < MIN_CHARACTERS) problems.push(`it needs at least ${MIN_CHARACTERS} characters`)
  const small = plain(text)
  if (common.has(small) || common.has(small.replace(/[^\p{L}\p{N}]/gu, '')))
    problems.push('it is among the most common ones')
  if (new Set(small).size < MIN_DISTINCT || isRepetition(small) || isWalk(small))
    problems.push('it is a repetition or a row of keys')
  const own = without(small, [...PRODUCT, ...context.flatMap(wordsOf)])
  if (own.length < Math.min(MIN_OF_ITS_OWN, small.length)) problems.push('it is made of names everybody knows of')
  else if (without(own, commonWords).length < MIN_OF_ITS_OWN / 2) problems.push('it is made of the most common words')
  return problems
}

/** Case, blanks and the usual swaps of letters for digits are no difference to who guesses. */
const plain = (text: string): string =>
  text
    .toLowerCase()
    .replace(/\s+/gu, '')
    .replace(/[@4]/g, 'a')
    .replace(/[$5]/g, 's')
    .replace(/[0]/g, 'o')
    .replace(/[!|]/g, 'i')
    .replace(/[3€]/g, 'e')

const common: ReadonlySet<string> = new Set(commonPassphrases.map(plain))

function wordsOf(text: string): string[] {
  const whole = text.normalize('NFKC')
  return [whole, ...whole.split(/[^\p{L}\p{N}]+/u)].map(plain).filter(word => word.length >= 3)
}

function without(text: string, words: readonly string[]): string {
  const longestFirst = [...words].map(plain).sort((a, b) => b.length - a.length)
  return longestFirst.reduce((left, word) => left.replaceAll(word, ''), text)
}

/** One short piece over and over. */
function isRepetition(text: string): boolean {
  for (let size = 1; size <= text.length / 2; size += 1) {
    const piece = text.slice(0, size)
    if (size <= 8 && piece.repeat(Math.ceil(text.length / size)).slice(0, text.length) === text) return true
  }
  return false
}

/** Mostly neighbours on a keyboard or in the alphabet, in either direction. */
function isWalk(text: string): boolean {
  const rows = KEYBOARDS.map(plain).map(row => row + row)
  const both = [...rows, ...rows.map(row => [...row].reverse().join(''))]
  let steps = 0
  for (let at = 0; at + 1 < text.length; at += 1) {
    const pair = text.slice(at, at + 2)
    if (both.some(row => row.includes(pair)) || text[at] === text[at + 1]) steps += 1
  }
  return steps >= (text.length - 1) * 0.8
}
