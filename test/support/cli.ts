import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { main } from '../../cli/main.ts'

export type Said = { code: number | null; out: string; err: string }

const ENTRY = fileURLToPath(new URL('../../opsconductor.js', import.meta.url))

/** Runs one command line of the CLI in this process. */
export const opsconductor = (...argv: string[]): Promise<Said> => said(() => main(argv))

/** What a command says and answers; what it writes does not reach the terminal. */
export async function said(command: () => number | Promise<number>): Promise<Said> {
  const heard = { out: '', err: '' }
  // What the test itself has reported by now is on its way.
  await new Promise(resolve => setImmediate(resolve))
  const { stdout, stderr } = process
  const [writeOut, writeErr] = [stdout.write, stderr.write]
  const to = (name: 'out' | 'err') =>
    ((text: string) => {
      heard[name] += text
      return true
    }) as typeof stdout.write
  stdout.write = to('out')
  stderr.write = to('err')
  try {
    const code = await command()
    return { code, ...heard }
  } finally {
    stdout.write = writeOut
    stderr.write = writeErr
    // Meant for the shell; here it would be the result of the test.
    process.exitCode = undefined
  }
}

export type StartedCli = { child: ChildProcess; said: Said; ended: Promise<Said> }

/** Starts one command line of the whole program as a process of its own, with `input` on its standard input. */
export function startCli(argv: string[], options: { input?: string; env?: Record<string, string> } = {}): StartedCli {
  const child = spawn(process.execPath, [ENTRY, ...argv], { env: { ...process.env, ...options.env } })
  const heard: Said = { code: null, out: '', err: '' }
  child.stdout.on('data', text => {
    heard.out += text
  })
  child.stderr.on('data', text => {
    heard.err += text
  })
  child.stdin.end(options.input)
  const ended = new Promise<Said>(resolve => child.once('close', code => resolve(Object.assign(heard, { code }))))
  return { child, said: heard, ended }
}
