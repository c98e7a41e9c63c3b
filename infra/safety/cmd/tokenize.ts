/** One command of a cmd line: its words as they stand after carets and quotes, and where its output goes. */
export type CmdCommand = {
  words: string[]
  raw: string
  redirects: { operator: string; target: string }[]
  joined: '' | '&' | '&&' | '||' | '|' | '(' | ')'
}

type Reader = { text: string; at: number }

const separators = ['&&', '||', '&', '|', '(', ')', '\n'] as const

/**
 * Splits a line as cmd.exe does: `^` escapes, double quotes keep separators but stay part of the word, and
 * `,` `;` `=` part words like blanks. Variables are already expanded: cmd does that first.
 */
export function tokenize(text: string): CmdCommand[] {
  const reader: Reader = { text, at: 0 }
  const commands: CmdCommand[] = []
  let current: CmdCommand = { words: [], raw: '', redirects: [], joined: '' }
  let start = 0
  while (reader.at < text.length) {
    const separator = separators.find(one => text.startsWith(one, reader.at))
    const opens = separator === '(' && current.words.length > 0
    if (separator && !opens) {
      commands.push({ ...current, raw: text.slice(start, reader.at) })
      reader.at += separator.length
      start = reader.at
      current = { words: [], raw: '', redirects: [], joined: separator === '\n' ? '&' : separator }
    } else if (current.words.length === 1 && /^@*(for|if)$/i.test(current.words[0] ?? ''))
      reader.at = endOfGroup(text, reader.at)
    else readItem(reader, current)
  }
  return [...commands, { ...current, raw: text.slice(start) }].filter(
    ({ words, redirects }) => words.length + redirects.length > 0,
  )
}

// What follows `for` and `if` belongs to them to the end of the line, or of the brackets around them.
function endOfGroup(text: string, from: number): number {
  let [depth, quoted] = [0, false]
  for (let at = from; at < text.length; at += 1) {
    const character = text[at]
    if (character === '"') quoted = !quoted
    else if (!quoted && character === '(') depth += 1
    else if (!quoted && character === ')' && --depth < 0) return at
  }
  return text.length
}

function readItem(reader: Reader, command: CmdCommand): void {
  const { text } = reader
  const character = text[reader.at] ?? ''
  const redirect = /^[0-9]?(>>|>&|>|<)/.exec(text.slice(reader.at, reader.at + 3))
  if (redirect && ((character !== '' && !/[0-9]/.test(character)) || isStart(text, reader.at))) {
    reader.at += redirect[0].length
    skipBlanks(reader)
    command.redirects.push({ operator: redirect[1] ?? '>', target: readWord(reader) })
  } else if (/[\s,;=]/.test(character)) reader.at += 1
  else command.words.push(readWord(reader))
}

const isStart = (text: string, at: number) => at === 0 || /\s/.test(text[at - 1] ?? '')

function skipBlanks(reader: Reader): void {
  while (/[ \t]/.test(reader.text[reader.at] ?? '')) reader.at += 1
}

function readWord(reader: Reader): string {
  const { text } = reader
  let word = ''
  let quoted = false
  for (; reader.at < text.length; reader.at += 1) {
    const character = text[reader.at] ?? ''
    if (character === '"') quoted = !quoted
    if (!quoted && character === '^') {
      reader.at += 1
      const next = text[reader.at] ?? ''
      if (next !== '\r' && next !== '\n') word += next
      continue
    }
    if (!quoted && /[\s&|<>)]/.test(character)) break
    if (!quoted && /[,;=]/.test(character) && word !== '' && !/^[/-]/.test(word)) break
    if (character === '\n') break
    word += character
  }
  return word
}

/** A word without its quotes. */
export function bare(word: string): string {
  return word.replaceAll('"', '')
}
