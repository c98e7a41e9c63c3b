import type { Action } from '../../schemas/steps/index.ts'
import { remoteCommand } from '../remote/command.ts'
import { runOnTarget } from '../remote/run.ts'
import type { Runner } from './runner.ts'

type SshCommand = Extract<Action, { uses: 'ssh.command' }>

/** Runs a command line by /bin/sh, whatever the login shell is. */
export const sshCommand: Runner<SshCommand> = {
  connects: true,
  run: async ({ with: { command, stdin, become } }, tools) => {
    const { variables = {}, stdinCredentialId } = tools.step
    // Better not run at all than with nothing where a secret was to be.
    if (stdinCredentialId !== undefined) return withoutSecret
    const line = { command, variables, stdin: stdin ?? '', sudo: tools.link.sudo(become) }
    return await runOnTarget(token => remoteCommand(line, token), tools)
  },
}

const withoutSecret = {
  kind: 'failed',
  class: 'credential-unavailable',
  detail: 'executors are given the secret to log in with and no other: the command was not run',
} as const
