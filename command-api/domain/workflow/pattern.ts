import { RE2JS } from 're2js'
import { remembered } from './remembered.ts'

/** A regular expression in RE2 syntax. Matching takes time linear in the text, times `size`. */
export type Pattern = { matchesWhole(text: string): boolean; isFoundIn(text: string): boolean; size: number }
type Compiled = { pattern: Pattern } | { problem: string }

/** Steps of the compiled expression; matching 8,192 characters against so many takes a third of a second. */
const LARGEST = 2_000

const compiled = remembered<Compiled>(500, source => {
  const problem = unrolled(source) > 200_000 ? TOO_LARGE : undefined
  return problem === undefined ? compile(source) : { problem }
})

const TOO_LARGE = 'the pattern is too large: repeat less, or shorter parts'

/** At most how much a pattern grows to when what it counts is written out: compiling does just that. */
function unrolled(source: string): number {
  const counts = [...source.matchAll(/\{(\d{1,6})(?:,(\d{0,6}))?\}/g)].map(([, least, most]) => Number(most || least))
  return source.length * counts.reduce((sum, count) => sum + count, 1)
}

function compile(source: string): Compiled {
  try {
    const re2 = RE2JS.compile(source)
    const size = re2.programSize()
    if (size > LARGEST) return { problem: TOO_LARGE }
    return {
      pattern: { matchesWhole: text => re2.matches(text), isFoundIn: text => re2.matcher(text).find(), size },
    }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : 'it is not a regular expression in RE2 syntax' }
  }
}

/** What is wrong with a pattern, if anything is. `largest`: for long texts only smaller ones will do. */
export function patternProblem(source: string, largest = LARGEST): string | undefined {
  const answer = compiled(source)
  if ('problem' in answer) return answer.problem
  return answer.pattern.size > largest ? TOO_LARGE : undefined
}

/** @throws Error when it does not compile. */
export function patternOf(source: string): Pattern {
  const answer = compiled(source)
  if ('problem' in answer) throw new Error(answer.problem)
  return answer.pattern
}
