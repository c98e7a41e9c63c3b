import { overlap } from '../output/overlap.ts'
import { shellQuote } from './quote.ts'

/** How to become another user. `password` is asked for when sudo wants it; without it sudo must not want any. */
export type Sudo = { user: string; password?: () => Promise<string> }

const promptOf = (token: string) => `${token}-password:`
const goOf = (token: string) => `${token}-go\n`

/** The words that run what follows them as that user. The prompt is ours, so that it can be told from output. */
export function sudoWords({ user, password }: Sudo, token: string): string[] {
  return ['sudo', '-H', ...(password ? ['-S', '-p', promptOf(token)] : ['-n']), '-u', user, '--']
}

/** A body that runs its $2 as another user, with what follows, after the token and the process group it found. */
export function bySudo(sudo: Sudo, token: string): string {
  const words = sudoWords(sudo, token).map(shellQuote).join(' ')
  return `t=$1;i=$2;shift 2;exec ${words} /bin/sh -c "$i" opsc "$t" "\${opsc_g-$$}" "$@"`
}

/**
 * Begins what sudo runs: says that sudo has said yes, after which no password is sent any more, whoever asks. Where
 * sudo gave it a process group of its own, that one counts.
 */
export const INNER = `t=$1;opsc_g=$2;shift 2;set -- "$t" "$@"
{ read -r _ _ _ _ g _ </proc/$$/stat; } 2>/dev/null&&[ "$g" = $$ ]&&opsc_g=$$
echo "$1-go" >&2`

/** The stream to talk to: standard input of what runs on the target. */
type Input = { write(bytes: string): unknown; end(bytes?: Buffer): unknown }

const EMPTY = Buffer.alloc(0)

/**
 * Answers sudo. Its prompts and the word that it said yes are taken out of standard error; everything else passes.
 * `input` is sent, and standard input closed, when sudo has said yes; a second prompt means that the password was wrong.
 */
export class SudoDialogue {
  readonly #sudo: Sudo
  readonly #token: string
  readonly #stdin: Input
  readonly #input: Buffer | undefined
  #held: Buffer = EMPTY
  #prompts = 0
  #failure: unknown
  #went = false

  constructor(of: { sudo: Sudo; token: string; stdin: Input; input: Buffer | undefined }) {
    this.#sudo = of.sudo
    this.#token = of.token
    this.#stdin = of.stdin
    this.#input = of.input
    // Nothing will be asked: what waits for input must not wait for ever.
    if (!of.sudo.password && of.input === undefined) of.stdin.end()
  }

  /** Whether sudo has said yes. */
  get went(): boolean {
    return this.#went
  }

  /** Why it did not, as far as that is known from here; an error of whoever gives the password counts first. */
  refusal(exitCode: number): { class: 'auth-failed' | 'command-not-found'; detail: string } {
    if (this.#failure) throw this.#failure
    const { user, password } = this.#sudo
    const code = `(exit code ${exitCode})`
    if (exitCode === 127) return { class: 'command-not-found', detail: `sudo was not found ${code}` }
    if (this.#prompts > 1) return { class: 'auth-failed', detail: `sudo did not take the password ${code}` }
    const how = password ? '' : ' without a password, and the credential has none'
    return { class: 'auth-failed', detail: `sudo does not run commands as ${user} for this login${how} ${code}` }
  }

  push(bytes: Buffer): Buffer {
    if (this.#went) return bytes
    let rest = this.#held.length > 0 ? Buffer.concat([this.#held, bytes]) : bytes
    this.#held = EMPTY
    const passed: Buffer[] = []
    const prompt = Buffer.from(promptOf(this.#token))
    const go = Buffer.from(goOf(this.#token))
    for (;;) {
      const [asked, yes] = [rest.indexOf(prompt), rest.indexOf(go)]
      if (asked >= 0 && (yes < 0 || asked < yes)) {
        passed.push(rest.subarray(0, asked))
        rest = rest.subarray(asked + prompt.length)
        this.#asked()
      } else if (yes >= 0) {
        this.#went = true
        this.#stdin.end(this.#input)
        return Buffer.concat([...passed, rest.subarray(0, yes), rest.subarray(yes + go.length)])
      } else {
        const keep = rest.length - Math.max(overlap(rest, prompt), overlap(rest, go))
        this.#held = Buffer.from(rest.subarray(keep))
        return Buffer.concat([...passed, rest.subarray(0, keep)])
      }
    }
  }

  /** What was held back when the stream ends. */
  end(): Buffer {
    const rest = this.#held
    this.#held = EMPTY
    return rest
  }

  #asked(): void {
    this.#prompts += 1
    const password = this.#prompts === 1 ? this.#sudo.password?.() : undefined
    if (!password) return void this.#stdin.end()
    password.then(
      text => this.#stdin.write(`${text}\n`),
      error => {
        this.#failure = error
        this.#stdin.end()
      },
    )
  }
}
