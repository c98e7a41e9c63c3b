import type { Action } from '../../schemas/steps/index.ts'
import { commandWithSecret, remoteCommand } from '../remote/command.ts'
import { runOnTarget } from '../remote/run.ts'
import type { Runner } from './runner.ts'

type SshCommand = Extract<Action, { uses: 'ssh.command' }>

/** Runs a command line by /bin/sh, whatever the login shell is. */
export const sshCommand: Runner<SshCommand> = {
  connects: true,
  run: async ({ with: { command, stdin = '', become } }, { step: { variables = {} }, secret, ...tools }) => {
    const of = { command, variables, sudo: tools.link.sudo(become) }
    return await runOnTarget(
      token => (secret ? commandWithSecret({ ...of, secret }, token) : remoteCommand({ ...of, stdin }, token)),
      tools,
    )
  },
}
