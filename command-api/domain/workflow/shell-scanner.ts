import { ShellWords } from './shell-words.ts'
import { placeholder, TemplateError } from './template-error.ts'

type HereDoc = { kind: 'here-doc'; quoted: boolean; word: string; tabs: boolean; line: string }
type Plain = { kind: 'plain'; parens: number; cases: number; words: ShellWords; due: HereDoc[] }
type Frame =
  | Plain
  | HereDoc
  | { kind: 'double' | 'single' | 'escapes' | 'braces' | 'backticks' | 'comment' }
  | { kind: 'arithmetic'; parens: number }

const HERE_DOC = /^<<(-?)[ \t]*((?:'[^'\n]*'|"[^"\n]*"|\\.|[^\s;&|<>()'"\\])+)/
const plain = (): Plain => ({ kind: 'plain', parens: 0, cases: 0, words: new ShellWords(), due: [] })

/**
 * Follows a command line of POSIX sh (with what bash adds where it matters) far enough to know what quotes are open
 * at any place. It need not be perfect: where it misjudges, a value is split into words but never run.
 */
export class ShellScanner {
  #frames: Frame[] = [plain()]
  #escaped = false
  #last = ''

  read(text: string): void {
    let at = 0
    while (at < text.length) {
      if (this.#escaped) {
        this.#escaped = false
        this.#word(text[at] ?? '')
        at += 1
      } else at += this.#step(text, at)
    }
    this.#last = text.at(-1) ?? ''
  }

  /** What stands for a value here. @throws TemplateError where nothing can. */
  place(source: string, name: string): string {
    const frame = this.#top
    const why = this.#refusal(frame)
    if (why !== undefined) throw new TemplateError(`${placeholder(source)} ${why}`)
    this.#last = ''
    if (frame.kind === 'here-doc') frame.line += '\0'
    this.#word('\0')
    return frame.kind === 'plain' ? `"\${${name}}"` : `\${${name}}`
  }

  finish(): void {
    const frame = this.#top
    if (frame.kind === 'here-doc') this.#endLine(frame)
    if (this.#top.kind === 'comment') this.#frames.pop()
    const left = this.#top
    if (left.kind !== 'plain' || this.#frames.length > 1)
      throw new TemplateError(`${unclosed[left.kind]} is never closed`)
  }

  get #top(): Frame {
    return this.#frames.at(-1) ?? plain()
  }

  #word(text: string): void {
    const frame = this.#frames.findLast(frame => frame.kind === 'plain')
    if (frame && this.#top.kind !== 'comment') frame.words.add(text)
  }

  #refusal(frame: Frame): string | undefined {
    if (this.#escaped) return 'stands right after a backslash'
    if (this.#last === '$') return 'stands right after a $'
    const around = this.#frames.findLast(frame => frame.kind === 'plain')
    if (frame.kind !== 'plain' && frame.kind !== 'double' && frame.kind !== 'here-doc') return refusals[frame.kind]
    if (frame.kind === 'here-doc')
      return frame.quoted ? 'stands in a here-document whose end word is quoted: leave its quotes away' : undefined
    if (around?.words.inCondition) return 'stands in [[ ]], which works out what it is given: write [ ]'
    const program = around?.words.programOf
    if (program === undefined) return undefined
    return `would be read as a program by ${program}: hand it over as an argument, as in sh -c 'echo "$1"' sh VALUE`
  }

  /** Reads what begins at `at`; answers how many characters that was. */
  #step(text: string, at: number): number {
    const frame = this.#top
    const c = text[at] ?? ''
    switch (frame.kind) {
      case 'plain':
        return this.#plain(frame, text, at)
      case 'single':
        return this.#until("'", c)
      case 'comment':
        if (c !== '\n') return 1
        this.#frames.pop()
        return 0
      case 'here-doc':
        return this.#hereDoc(frame, text, at)
      case 'arithmetic':
        return this.#arithmetic(frame, text, at)
      case 'backticks':
        return this.#opening(text, at, '\\') ?? this.#until('`', c)
      case 'escapes':
        return this.#opening(text, at, '\\') ?? this.#until("'", c)
      case 'double':
        return this.#opening(text, at, '\\$`') ?? this.#until('"', c)
      case 'braces':
        return this.#opening(text, at, this.#isQuoted ? '\\$`"' : '\\$`"\'') ?? this.#until('}', c)
    }
  }

  get #isQuoted(): boolean {
    return (
      this.#frames.findLast(({ kind }) => kind === 'double' || kind === 'plain' || kind === 'here-doc')?.kind !==
      'plain'
    )
  }

  #until(close: string, c: string): number {
    if (c === close) this.#frames.pop()
    else this.#word(c)
    return 1
  }

  /** Something that opens here, if `known` has its first character. */
  #opening(text: string, at: number, known: string): number | undefined {
    const c = text[at] ?? ''
    if (!known.includes(c)) return undefined
    if (c === '$') return this.#dollar(text, at)
    this.#word('')
    if (c === '\\') this.#escaped = true
    if (c === '`') this.#frames.push({ kind: 'backticks' })
    if (c === '"') this.#frames.push({ kind: 'double' })
    if (c === "'") this.#frames.push({ kind: 'single' })
    return 1
  }

  #dollar(text: string, at: number): number {
    this.#word('$')
    if (text.startsWith('$((', at)) return this.#open({ kind: 'arithmetic', parens: 0 }, 3)
    if (text.startsWith('$(', at)) return this.#open(plain(), 2)
    if (text.startsWith('${', at)) return this.#open({ kind: 'braces' }, 2)
    if (text.startsWith("$'", at) && this.#top.kind === 'plain') return this.#open({ kind: 'escapes' }, 2)
    return text[at + 1] === '$' ? 2 : 1
  }

  #open(frame: Frame, length: number): number {
    this.#frames.push(frame)
    return length
  }

  #plain(frame: Plain, text: string, at: number): number {
    const opened = this.#opening(text, at, '\\$`"\'')
    if (opened !== undefined) return opened
    const c = text[at] ?? ''
    const { words } = frame
    if (c === '#' && !words.inWord) return this.#open({ kind: 'comment' }, 1)
    if (text.startsWith('((', at) && !words.inWord) return this.#open({ kind: 'arithmetic', parens: 0 }, 2)
    if (text.startsWith('<<<', at)) return 3
    if (text.startsWith('<<', at)) return this.#hereDocWord(frame, text.slice(at))
    if (!/[\s;&|()<>]/.test(c)) {
      words.add(c)
      return 1
    }
    const command = words.endWord()
    if (command === 'case') frame.cases += 1
    if (command === 'esac') frame.cases -= 1
    const redirects = c === '&' && /[<>]/.test(text[at - 1] ?? '')
    if (!' \t<>'.includes(c) && !redirects && !(words.inCondition && c !== '\n')) words.endCommand()
    if (c === '(') frame.parens += 1
    if (c === ')') this.#closeParen(frame)
    if (c === '\n') this.#frames.push(...frame.due.splice(0).reverse())
    return 1
  }

  /** The end of a pattern in `case`, of a group, or of `$( )`. */
  #closeParen(frame: Plain): void {
    if (frame.parens > 0) frame.parens -= 1
    else if (frame.cases === 0 && this.#frames.length > 1) this.#frames.pop()
  }

  #arithmetic(frame: { parens: number }, text: string, at: number): number {
    const opened = this.#opening(text, at, '\\$`')
    if (opened !== undefined) return opened
    const c = text[at]
    if (c === '(') frame.parens += 1
    if (c !== ')') return 1
    if (frame.parens > 0) frame.parens -= 1
    else {
      this.#frames.pop()
      return 2
    }
    return 1
  }

  #hereDocWord(frame: Plain, rest: string): number {
    const [all, dash, word] = HERE_DOC.exec(rest) ?? []
    if (all === undefined || word === undefined) throw new TemplateError('<< needs a word of its own after it')
    const quoted = /['"\\]/.test(word)
    frame.due.push({ kind: 'here-doc', quoted, word: word.replace(/['"\\]/g, ''), tabs: dash === '-', line: '' })
    return all.length
  }

  #hereDoc(frame: HereDoc, text: string, at: number): number {
    const c = text[at] ?? ''
    if (c === '\n') {
      this.#endLine(frame)
      return 1
    }
    frame.line += c
    return frame.quoted ? 1 : (this.#opening(text, at, '\\$`') ?? 1)
  }

  #endLine(frame: HereDoc): void {
    const line = frame.tabs ? frame.line.replace(/^\t+/, '') : frame.line
    frame.line = ''
    if (line === frame.word) this.#frames.pop()
  }
}

const refusals = {
  single: 'stands between single quotes, where the shell would not see it: use double quotes',
  escapes: "stands in $'…', where the shell would not see it: use double quotes",
  braces: 'stands in ${…}: put it into a variable of its own first',
  backticks: 'stands between backticks: write $( … ) instead',
  comment: 'stands in a comment: leave it out',
  arithmetic: 'stands in arithmetic, which the shell would work out: put it into a variable and check it first',
} as const

const unclosed = {
  plain: 'a $(',
  double: 'a double quote',
  single: 'a single quote',
  escapes: "a $'",
  braces: 'a ${',
  backticks: 'a backtick',
  comment: 'a comment',
  arithmetic: 'a $((',
  'here-doc': 'a here-document',
} as const
