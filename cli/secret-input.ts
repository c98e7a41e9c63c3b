import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { UsageError } from './errors.ts'

/** What standard input holds where it is no terminal: read once, handed out line by line. */
let left: string[] | undefined

/** Reads secrets one after the other: from a terminal without showing them, else from the lines of standard input. */
export async function readSecrets(prompts: readonly string[]): Promise<string[]> {
  const secrets: string[] = []
  for (const prompt of prompts) {
    const secret = process.stdin.isTTY ? await fromTerminal(prompt) : nextLine()
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

async function fromTerminal(prompt: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true })
  process.stderr.write(`${prompt}: `)
  try {
    return await new Promise<string>(resolve => lines.question('', resolve))
  } finally {
    process.stderr.write('\n')
    lines.close()
  }
}
