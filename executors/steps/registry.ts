import type { Action } from '../../schemas/steps/index.ts'
import { noop } from './noop.ts'
import type { Runner } from './runner.ts'
import { sshCommand } from './ssh-command.ts'
import { sshScript } from './ssh-script.ts'
import { waitTime } from './wait-time.ts'

const runners: { readonly [K in Action['uses']]: Runner<Extract<Action, { uses: K }>> } = {
  'ssh.command': sshCommand,
  'ssh.script': sshScript,
  'file.put': noop,
  'file.get': noop,
  'http.request': noop,
  'wait.time': waitTime,
  'wait.until': noop,
  noop,
}

/** Who carries out this kind of step. */
export const runnerOf = (action: Action): Runner<Action> => runners[action.uses]
