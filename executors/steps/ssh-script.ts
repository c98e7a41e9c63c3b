import type { Step } from '../../schemas/steps/index.ts'
import { announce, type RemoteCommand, wrap } from './wrapper.ts'

type ScriptStep = Extract<Step, { uses: 'ssh.script' }>

/**
 * The script comes on standard input and is kept in a folder of its own while it runs. A script that did not arrive
 * whole, because the connection broke, must not run at all: hence its length as $2.
 */
const BODY = `umask 077
d=$(mktemp -d "\${TMPDIR:-/tmp}/opsc.XXXXXXXXXX")||exit 125
trap 'rm -rf -- "$d"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cat >"$d/script"&&[ "$(wc -c <"$d/script")" -eq "$2" ]&&chmod 700 "$d/script"||exit 125
${announce(' dir=$d')}
i=$3;shift 3
"$i" "$d/script" "$@" </dev/null
exit $?`

/** Runs a script by its interpreter with its arguments, each as it is, with nothing to read. */
export function sshScript(step: ScriptStep, token: string): RemoteCommand {
  return scriptCommand(step.with, token)
}

export function scriptCommand(script: ScriptStep['with'], token: string): RemoteCommand {
  const stdin = Buffer.from(script.script)
  return { command: wrap(BODY, token, [String(stdin.length), script.interpreter, ...script.arguments]), stdin }
}
