import type { Step } from '../../schemas/steps/index.ts'
import { scriptCommand } from './ssh-script.ts'
import { announce, type RemoteCommand, wrap } from './wrapper.ts'

/** Linux takes no single argument longer than 128 kB, and the login shell gets all of this as one. */
const LONGEST_LINE = 120_000

// Replaces the wrapper by the command's shell: its exit status and signal reach us as they are.
const BODY = `${announce()};exec /bin/sh -c "$2" </dev/null`

/** Runs a command line by /bin/sh, whatever the login shell is, with nothing to read. */
export function sshCommand(step: Extract<Step, { uses: 'ssh.command' }>, token: string): RemoteCommand {
  const { command } = step.with
  const line = wrap(BODY, token, [command])
  if (Buffer.byteLength(line) <= LONGEST_LINE) return { command: line }
  return scriptCommand({ script: command, interpreter: '/bin/sh', arguments: [] }, token)
}
