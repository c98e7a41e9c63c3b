import type { Action } from '../../schemas/steps/index.ts'
import { remoteScript } from '../remote/command.ts'
import { runOnTarget } from '../remote/run.ts'
import type { Runner } from './runner.ts'

type SshScript = Extract<Action, { uses: 'ssh.script' }>

/** Runs a script by its interpreter with its arguments, each as it is, with nothing to read. */
export const sshScript: Runner<SshScript> = {
  connects: true,
  run: ({ with: { script, interpreter, arguments: words, become } }, tools) =>
    runOnTarget(
      token => remoteScript({ script, interpreter, arguments: words, stdin: '', sudo: tools.link.sudo(become) }, token),
      tools,
    ),
}
