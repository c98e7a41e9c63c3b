/** The words of the simple command that is being read, without their quotes. */
export class ShellWords {
  #done: string[] = []
  #word = ''
  /** Something of a word was read, if only an empty pair of quotes. */
  inWord = false

  add(text: string): void {
    this.#word += text
    this.inWord = true
  }

  /** Answers the word that ended here if it stands where a command stands. */
  endWord(): string | undefined {
    if (!this.inWord) return undefined
    const word = this.#word
    const isCommand = this.#done.every(before => skipped.has(before))
    this.#done.push(word)
    this.#word = ''
    this.inWord = false
    return isCommand ? word : undefined
  }

  endCommand(): void {
    this.endWord()
    this.#done = []
  }

  /** What a value must not stand behind, since it would be read as a program: said in words. */
  get programOf(): string | undefined {
    const command = this.#done.find(word => !skipped.has(word) && !/^\w+\+?=/.test(word))
    if (command !== undefined && evaluators.has(command)) return command
    const at = this.#done.findIndex(word => interpreters.has(word.replace(/^.*\//, '')))
    const option = this.#done.at(-1) ?? ''
    return at >= 0 && at < this.#done.length - 1 && PROGRAM_OPTION.test(option)
      ? `${this.#done[at]} ${option}`
      : undefined
  }

  /** A condition whose operands the shell works out. */
  get inCondition(): boolean {
    return this.#done.lastIndexOf('[[') > this.#done.lastIndexOf(']]')
  }
}

const PROGRAM_OPTION = /^(?:-[A-Za-z]*[cer]|--command|--eval)$/
const evaluators = new Set(['eval', 'let'])
const words = (text: string) => new Set(text.split(' '))
const skipped = words('if then else elif while until do time ! { exec command builtin sudo')
const interpreters = words(
  'sh ash bash dash ksh zsh su runuser python python2 python3 perl ruby node php pwsh psql mysql mariadb',
)
