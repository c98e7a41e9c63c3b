import { shellQuote } from './quote.ts'
import type { Sudo } from './sudo.ts'
import { announce, type RemoteCommand, wrap } from './wrapper.ts'

/** Linux takes no single argument longer than 128 kB, and the login shell gets all of a command line as one. */
const LONGEST_LINE = 120_000

// Replaces the wrapper by the command's shell: its exit status and signal reach us as they are.
const COMMAND = `${announce()};exec /bin/sh -c "$2" </dev/null`

/**
 * The script, and after it what it is to read, come on standard input and are kept in a folder of their own while it
 * runs. What did not arrive whole, because the connection broke, must not run at all: hence the length of both as $2,
 * and of the script as $3.
 */
const SCRIPT = `umask 077
d=$(mktemp -d "\${TMPDIR:-/tmp}/opsc.XXXXXXXXXX")||exit 125
trap 'rm -rf -- "$d"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
f=/dev/null
cat >"$d/script"&&[ "$(wc -c <"$d/script")" -eq "$2" ]||exit 125
if [ "$2" -ne "$3" ]
then mv "$d/script" "$d/in"&&dd if="$d/in" of="$d/script" bs="$3" count=1 2>/dev/null&&tail -c "+$(($3+1))" "$d/in" >"$d/stdin"||exit 125
rm -f "$d/in"
f=$d/stdin
fi
chmod 700 "$d/script"||exit 125
${announce(' dir=$d')}
i=$4;shift 4
"$i" "$d/script" "$@" <"$f"
exit $?`

/**
 * What it reads is a secret: it goes through this shell's memory to the command's standard input, into no file, no
 * argument and no environment. It came whole if our token is at its end. A shell whose printf is a program of its own
 * would show it as an argument.
 */
const WITH_SECRET = `[ "$(command -v printf)" = printf ]||{ echo 'this shell cannot hand a secret over' >&2;exit 125; }
unset opsc_secret
opsc_secret=$(cat)
case $opsc_secret in
*"$1")opsc_secret=\${opsc_secret%"$1"};;
*)exit 125
esac
${announce()}
printf %s "$opsc_secret" 2>/dev/null|/bin/sh -c "$2"
exit $?`

type Reads = { stdin: string; sudo: Sudo | undefined }
export type CommandLine = Reads & { command: string; variables: Readonly<Record<string, string>> }
export type Script = Reads & { script: string; interpreter: string; arguments: readonly string[] }

/** What cannot be written down for a target's shell: nothing of it was sent. */
export class Unwritable extends Error {
  override name = 'Unwritable'
}

/** A command line for /bin/sh. Its variables are set before it, where no value can become a part of it. */
export function remoteCommand({ command, variables, stdin, sudo }: CommandLine, token: string): RemoteCommand {
  const whole = withVariables(command, variables)
  if (stdin === '' && sudo === undefined) {
    const line = wrap(COMMAND, token, [whole])
    if (Buffer.byteLength(line) <= LONGEST_LINE) return { token, command: line }
  }
  return remoteScript({ script: whole, interpreter: '/bin/sh', arguments: [], stdin, sudo }, token)
}

/** A command line for /bin/sh that reads a secret and nothing else. By sudo it is sent when sudo has said yes. */
export function commandWithSecret(
  { command, variables, secret, sudo }: Omit<CommandLine, 'stdin'> & { secret: Buffer },
  token: string,
): RemoteCommand {
  if (secret.includes(0)) throw new Unwritable('the secret holds a NUL character')
  const line = wrap(WITH_SECRET, token, [withVariables(command, variables)], sudo)
  if (Buffer.byteLength(line) > LONGEST_LINE)
    throw new Unwritable('the command is too long for one that reads a secret')
  return { token, command: line, stdin: Buffer.concat([secret, Buffer.from(token)]), ...(sudo && { sudo }) }
}

/** A script for its interpreter. By sudo nothing is sent before sudo has said yes. */
export function remoteScript({ script, interpreter, stdin, sudo, ...of }: Script, token: string): RemoteCommand {
  const body = Buffer.from(script)
  const input = Buffer.concat([body, Buffer.from(stdin)])
  const words = [String(input.length), String(body.length), interpreter, ...of.arguments]
  if (words.some(word => word.includes('\0'))) throw new Unwritable('an argument cannot hold a NUL character')
  const command = wrap(SCRIPT, token, words, sudo)
  if (Buffer.byteLength(command) > LONGEST_LINE) throw new Unwritable('the arguments are too long for one command line')
  return { token, command, stdin: input, ...(sudo && { sudo }) }
}

const withVariables = (command: string, variables: CommandLine['variables']): string =>
  [...Object.entries(variables).map(([name, value]) => assignment(name, value)), command].join('\n')

function assignment(name: string, value: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new Unwritable(`${name} is no name for a shell variable`)
  if (value.includes('\0')) throw new Unwritable(`the value of ${name} holds a NUL character`)
  return `${name}=${shellQuote(value)}`
}
