import { RE2JS } from 're2js'
import { remembered } from './remembered.ts'

/** A regular expression in RE2 syntax: time linear in the text, whatever the pattern. */
export type Pattern = { matchesWhole(text: string): boolean; isFoundIn(text: string): boolean }
type Compiled = { pattern: Pattern } | { problem: string }

const compiled = remembered<Compiled>(500, source => {
  try {
    const re2 = RE2JS.compile(source)
    return {
      pattern: { matchesWhole: text => re2.matches(text), isFoundIn: text => re2.matcher(text).find() },
    }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : 'it is not a regular expression in RE2 syntax' }
  }
})

/** What is wrong with a pattern, if anything is. */
export function patternProblem(source: string): string | undefined {
  const answer = compiled(source)
  return 'problem' in answer ? answer.problem : undefined
}

/** @throws Error when it does not compile. */
export function patternOf(source: string): Pattern {
  const answer = compiled(source)
  if ('problem' in answer) throw new Error(answer.problem)
  return answer.pattern
}
