import { randomBytes } from 'node:crypto'
import type { Announcement } from '../output/marker.ts'
import { shellQuote } from './quote.ts'
import { type Sudo, sudoWords } from './sudo.ts'
import { type RemoteCommand, STARTED } from './wrapper.ts'

/**
 * Whether the process that was announced still has its number. One that has ended leaves the number to its group, as long
 * as there is any of that; with another start it belongs to somebody else, and nothing of ours is left.
 */
const OURS = `${STARTED}
ours(){ [ -n "$s" ]||return 0;opsc_t "$g";[ -z "$opsc_s" ]||[ "$opsc_s" = "$s" ]; }`

/**
 * TERM to the process group, KILL when some of it is left after the grace, then a look whether any is still alive.
 * Zombies do not count: they wait for their parent and do nothing. Where there is no /proc, signal 0 tells. Not every
 * shell's kill takes `--`, and some take `-TERM` for a process group only without it.
 * Arguments: group, start of its leader or nothing, grace in tenths of a second, the script's folder or nothing.
 */
const STOP = `g=$1;s=$2
${OURS}
signal(){ ours||return 1;kill -s "$1" -- "-$g" 2>/dev/null||kill -s "$1" "-$g" 2>/dev/null; }
alive(){
ours||return 1
[ -r /proc/self/stat ]||{ signal 0;return; }
for f in /proc/[0-9]*/stat;do
{ IFS= read -r l <"$f"; } 2>/dev/null||continue
set -- \${l##*) }
[ "$3" = "$g" ]&&[ "$1" != Z ]&&[ "$1" != X ]&&return 0
done
return 1
}
wait_gone(){ i=0;while alive;do [ $i -ge $1 ]&&return 1;i=$((i+1));sleep 0.1 2>/dev/null||sleep 1;done; }
signal TERM
wait_gone "$3"||{ signal KILL;wait_gone 20; }
r=$?
[ -n "$4" ]&&rm -rf -- "$4"
[ $r -eq 0 ]&&echo opsc-gone||echo opsc-alive`

/** Ends a command without a group of its own as well as that goes: its shell alone. Arguments: pid, its start. */
const STOP_ALONE = `g=$1;s=$2
${OURS}
ours&&kill -TERM "$g" 2>/dev/null;sleep 1;ours&&kill -KILL "$g" 2>/dev/null;echo opsc-alone`

/** The command that stops what was announced, by sudo where it runs by sudo; prints `opsc-gone` when all of it is gone. */
export function stopCommand(announced: Announcement, graceSeconds: number, sudo: Sudo | undefined): RemoteCommand {
  const token = `opsc-${randomBytes(12).toString('hex')}`
  const { pgid, pid, start = '', folder = '' } = announced
  const words =
    pgid > 1
      ? ['/bin/sh', '-c', STOP, 'opsc', String(pgid), start, String(graceSeconds * 10), folder]
      : ['/bin/sh', '-c', STOP_ALONE, 'opsc', String(pid), start]
  const whole = [...(sudo ? sudoWords(sudo, token) : []), ...words]
  return { token, command: `exec ${whole.map(shellQuote).join(' ')}`, ...(sudo && { sudo }) }
}
