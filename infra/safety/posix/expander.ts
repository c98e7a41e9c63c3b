import type { ParsedScript, WordPart } from 'unbash'
import { isKnown, type Stream, silence } from '../stream.ts'
import { mark } from '../text.ts'
import { expandValues } from './expand.ts'
import type { Expander } from './expander-types.ts'
import { fork } from './state.ts'
import type { Walk } from './walk-types.ts'

/** Where `<(…)` is read from, as it shows in a command's words: its source decides what a shell that reads it runs. */
export const processPrefix = '/dev/fd/'
const sources = new WeakMap<Walk['session'], Map<string, Stream>>()

/** The text behind a `<(…)` word. */
export function processSource(word: string, { session }: Walk): Stream | undefined {
  return sources.get(session)?.get(word)
}

export function expanderFor(walk: Walk): Expander {
  const inner = { ...walk.scope, depth: walk.scope.depth + 1 }
  const run = (script: ParsedScript | undefined, pipesInto: string | null) =>
    script
      ? walk.run.statements(script.commands, {
          ...walk,
          scope: inner,
          stdin: silence,
          state: fork(walk.state),
          pipesInto,
        })
      : silence
  const expander: Expander = {
    state: walk.state,
    values: word => expandValues(word, expander),
    substitute: script => [textOf(run(script, null), script)],
    process: part => remember(run(part.script, part.operator === '>' ? null : '<('), part, walk),
    parseWord: text => {
      const [statement] = walk.parse(`: ${text}`).commands
      const argument = statement?.command.type === 'Command' ? statement.command.args[0] : undefined
      return argument?.type === 'Word' ? argument : undefined
    },
  }
  return expander
}

function remember(stream: Stream, part: Extract<WordPart, { type: 'ProcessSubstitution' }>, { session }: Walk): string {
  const known = sources.get(session) ?? new Map<string, Stream>()
  const name = `${processPrefix}${63 - (known.size % 60)}`
  sources.set(session, known.set(name, part.operator === '<' ? stream : silence))
  return name
}

function textOf(stream: Stream, script: ParsedScript | undefined): string {
  if (stream.secret) return mark.secret
  if (stream.text !== null && (isKnown(stream) || stream.text !== '')) return stream.text.replace(/\n+$/, '')
  return script ? mark.unknown : ''
}
