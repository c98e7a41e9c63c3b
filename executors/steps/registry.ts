import type { Step } from '../../schemas/steps/index.ts'
import { sshCommand } from './ssh-command.ts'
import { sshScript } from './ssh-script.ts'
import type { RemoteCommand } from './wrapper.ts'

/** What a step comes to on its target. `token` begins the line by which the wrapper announces itself. */
export function remoteCommand(step: Step, token: string): RemoteCommand {
  switch (step.uses) {
    case 'ssh.command':
      return sshCommand(step, token)
    case 'ssh.script':
      return sshScript(step, token)
  }
}
