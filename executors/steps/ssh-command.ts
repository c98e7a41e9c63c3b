import type { Action } from '../../schemas/steps/index.ts'
import { remoteCommand } from '../remote/command.ts'
import { runOnTarget } from '../remote/run.ts'
import type { Runner } from './runner.ts'

type SshCommand = Extract<Action, { uses: 'ssh.command' }>

/** Runs a command line by /bin/sh, whatever the login shell is. */
export const sshCommand: Runner<SshCommand> = {
  connects: true,
  run: ({ with: { command, stdin, become } }, tools) =>
    runOnTarget(
      token =>
        remoteCommand(
          { command, variables: tools.step.variables ?? {}, stdin: stdin ?? '', sudo: tools.link.sudo(become) },
          token,
        ),
      tools,
    ),
}
