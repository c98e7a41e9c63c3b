import type { Action } from '../../schemas/steps/index.ts'
import { fileGet } from './file-get.ts'
import { filePut } from './file-put.ts'
import { httpRequest } from './http-request.ts'
import { noop } from './noop.ts'
import type { Runner } from './runner.ts'
import { sshCommand } from './ssh-command.ts'
import { sshScript } from './ssh-script.ts'
import { waitTime } from './wait-time.ts'
import { waitUntil } from './wait-until.ts'

const runners: { readonly [K in Action['uses']]: Runner<Extract<Action, { uses: K }>> } = {
  'ssh.command': sshCommand,
  'ssh.script': sshScript,
  'file.put': filePut,
  'file.get': fileGet,
  'http.request': httpRequest,
  'wait.time': waitTime,
  'wait.until': waitUntil,
  noop,
}

/** Who carries out this kind of step. */
export const runnerOf = (action: Action): Runner<Action> => runners[action.uses]
