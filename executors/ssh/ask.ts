import { shellQuote } from '../remote/quote.ts'
import { within } from '../wait.ts'
import type { SshConnection } from './connection.ts'

const OPEN_MS = 10_000

/** What a short command of ours says on standard output, up to a thousand characters, and how it exits. */
export type Said = { exitCode: number | undefined; text: string }

/**
 * Runs a POSIX shell script with arguments on an open connection. Undefined when no channel opens, or none ends in
 * time: nothing is known then.
 */
export async function ask(
  connection: SshConnection,
  script: string,
  words: readonly string[],
  forMs: number,
): Promise<Said | undefined> {
  const command = `exec ${['/bin/sh', '-c', script, 'opsc', ...words].map(shellQuote).join(' ')}`
  try {
    const opened = connection.exec(command, channel => {
      let text = ''
      let exitCode: number | undefined
      channel.stderr.resume()
      channel.on('data', (bytes: Buffer) => {
        text = (text + bytes.toString('latin1')).slice(0, 1_000)
      })
      channel.on('exit', (code: number | null) => {
        exitCode = code ?? undefined
      })
      channel.on('error', () => undefined)
      channel.end()
      return { ended: new Promise<Said>(resolve => channel.on('close', () => resolve({ exitCode, text }))) }
    })
    const running = await within(OPEN_MS, opened)
    return running && (await within(forMs, running.ended))
  } catch {
    return undefined
  }
}
