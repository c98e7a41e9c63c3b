import type { ParsedScript, Word, WordPart } from 'unbash'
import type { State } from './state.ts'

/** What expansion asks of the walk: to run the text of `$(…)`, and to read a word written as text. */
export type Expander = {
  state: State
  /** Values `$(…)` may have, trailing newlines cut; the commands in it are judged on the way. */
  substitute(script: ParsedScript | undefined): string[]
  /** Judges the commands of `<(…)`; answers the name it is read by. */
  process(part: Extract<WordPart, { type: 'ProcessSubstitution' }>): string
  /** The values of a word that is not split. */
  values(word: Word): string[]
  parseWord(text: string): Word | undefined
}
