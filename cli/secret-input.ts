import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { UsageError } from './errors.ts'

/** Reads secrets one after the other: from a terminal without showing them, else from the lines of standard input. */
export async function readSecrets(prompts: readonly string[]): Promise<string[]> {
  const isTerminal = process.stdin.isTTY === true
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: isTerminal })
  const given = lines[Symbol.asyncIterator]()
  const secrets: string[] = []
  try {
    for (const prompt of prompts) {
      if (isTerminal) process.stderr.write(`${prompt}: `)
      const { value, done } = await given.next()
      if (isTerminal) process.stderr.write('\n')
      if (done || value === '') throw new UsageError(`${prompt.toLowerCase()} is needed, on a line of standard input`)
      secrets.push(value)
    }
    return secrets
  } finally {
    lines.close()
  }
}
