import { shellQuote } from './quote.ts'
import { bySudo, INNER, type Sudo } from './sudo.ts'

/** What is run on a target, and what it reads on its standard input. `token` begins the lines meant for us. */
export type RemoteCommand = { token: string; command: string; stdin?: Buffer; sudo?: Sudo }

/**
 * Makes sure that the body leads a process group of its own, so that all it starts can be stopped. OpenSSH gives a
 * command its own session; where the server does not, setsid(1) does. Without either `opsc_g` is 0: nothing but the
 * shell itself may then be signalled, because the group is the server's. Arguments: body, token, the body's own.
 */
const GROUP = `b=$1;shift
{ read -r _ _ _ _ opsc_g _ </proc/$$/stat; } 2>/dev/null||opsc_g=$(ps -o pgid= -p $$ 2>/dev/null)
if [ "\${opsc_g:-0}" -eq $$ ];then opsc_g=$$;eval "$b"
elif setsid -w true 2>/dev/null;then unset opsc_g;exec setsid -w /bin/sh -c "$b" opsc "$@"
else opsc_g=0;eval "$b"
fi`

/**
 * The command line for a body in POSIX shell. The body gets the token as $1 and `args` after it, and must call
 * `announce` before its effect; `$opsc_g` is its process group. With `sudo` the body runs as another user.
 */
export function wrap(body: string, token: string, args: string[], sudo?: Sudo): string {
  const inner = sudo ? [bySudo(sudo, token), token, `${INNER}\n${body}`, ...args] : [body, token, ...args]
  // `exec` first, because a login shell that only has to do that need not be a POSIX shell.
  return `exec ${['/bin/sh', '-c', GROUP, 'opsc', ...inner].map(shellQuote).join(' ')}`
}

/**
 * Puts into `opsc_s` when a process was started: a number that is used again, for another process, has another start.
 * Nothing when there is no such process, or nobody tells. Argument: pid.
 */
export const STARTED = `opsc_t(){ if { IFS= read -r opsc_l </proc/$1/stat; } 2>/dev/null
then set -- \${opsc_l##*) };opsc_s=\${20}
else opsc_s=$(LC_ALL=C TZ=UTC0 ps -o lstart= -p "$1" 2>/dev/null|tr -s ' ' _)
fi; }`

/** The line that tells the executor whom to signal; `more` is added as it is. */
export const announce = (more = ''): string => `${STARTED}
opsc_p=\${opsc_g-$$};[ "$opsc_p" -gt 1 ]||opsc_p=$$;opsc_t "$opsc_p"
echo "$1 pgid=\${opsc_g-$$} pid=$$ start=$opsc_s${more}"`
