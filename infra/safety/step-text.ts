import type { Action, Step } from '../../schemas/steps/index.ts'
import type { Shell } from './facts.ts'
import { quote } from './posix/quote.ts'

/** What a shell reads of a step. */
export type StepText = { shell: Shell; command: string }
type Variables = Readonly<Record<string, string>>

const shellOf: Readonly<Record<string, Shell>> = {
  ...{ sh: 'posix', bash: 'posix', dash: 'posix', ash: 'posix', ksh: 'posix', mksh: 'posix', zsh: 'posix' },
  ...{ pwsh: 'powershell', powershell: 'powershell' },
}

/**
 * What a shell reads when this is done, its values set before it as constants; undefined where no shell reads anything
 * or the interpreter is none that can be judged. `readsSecret`: what is on its standard input is not to be known.
 */
export function stepText(action: Action | Step, variables: Variables = {}, readsSecret = false): StepText | undefined {
  switch (action.uses) {
    case 'ssh.command': {
      const { command, stdin } = action.with
      const known = stdin ? reading(stdin, command) : command
      return { shell: 'posix', command: withValues(variables, readsSecret ? readingUnknown(command) : known) }
    }
    case 'ssh.script':
      return scriptText(action.with)
    case 'wait.until': {
      const { probe } = action.with
      return probe.kind === 'command' ? commandText(probe.command, variables) : undefined
    }
    case 'file.put':
    case 'file.get':
    case 'http.request':
    case 'wait.time':
    case 'noop':
    case 'approval':
    case 'job.run':
      return undefined
  }
}

/** A command line by itself, such as a check. */
export const commandText = (command: string, variables: Variables = {}): StepText => ({
  shell: 'posix',
  command: withValues(variables, command),
})

function scriptText(of: Extract<Action, { uses: 'ssh.script' }>['with']): StepText | undefined {
  const { interpreter, script, arguments: words } = of
  const shell = shellOf[interpreter.slice(interpreter.lastIndexOf('/') + 1)]
  if (shell === undefined) return undefined
  const positional = shell === 'posix' && words.length > 0 ? `set -- ${words.map(quote).join(' ')}\n` : ''
  return { shell, command: `${positional}${script}` }
}

const withValues = (variables: Variables, command: string) =>
  `${Object.entries(variables)
    .map(([name, value]) => `${name}=${quote(value)}\n`)
    .join('')}${command}`

/** A secret may be what is run, too. */
const readingUnknown = (command: string) => `{\n${command}\n} <"$opsc_secret"\n`

/** Standard input may be what is run: it is judged as a here-document. */
function reading(stdin: string, command: string): string {
  let end = 'opsc_stdin'
  while (stdin.includes(end)) end += '_'
  return `{\n${command}\n} <<'${end}'\n${stdin}\n${end}\n`
}
