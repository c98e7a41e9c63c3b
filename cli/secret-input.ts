import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { Interrupted, UsageError } from './errors.ts'

/** What standard input holds where it is no terminal: read once, handed out line by line. */
let left: string[] | undefined

/** Where somebody may sit: what they type, and where they read what is asked. */
export type Terminal = { input: NodeJS.ReadableStream & { isTTY?: boolean }; output: NodeJS.WritableStream }

/** Reads secrets one after the other: from a terminal without showing them, else from the lines of standard input. */
export async function readSecrets(
  prompts: readonly string[],
  terminal: Terminal = { input: process.stdin, output: process.stderr },
): Promise<string[]> {
  const secrets: string[] = []
  for (const prompt of prompts) {
    const secret = terminal.input.isTTY ? await fromTerminal(prompt, terminal) : nextLine()
    if (secret === undefined || secret === '')
      throw new UsageError(`${prompt.toLowerCase()}: a line of standard input is needed`)
    secrets.push(secret)
  }
  return secrets
}

function nextLine(): string | undefined {
  left ??= readFileSync(0, 'utf8').split(/\r?\n/)
  return left.shift()
}

/** While it reads, a terminal sends no signal for Ctrl-C: that and Ctrl-D close what reads. */
async function fromTerminal(prompt: string, { input, output }: Terminal): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input, output: nowhere, terminal: true })
  output.write(`${prompt}: `)
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.question('', resolve)
      lines.once('close', () => reject(new Interrupted('nothing was typed')))
    })
  } finally {
    output.write('\n')
    lines.close()
  }
}
