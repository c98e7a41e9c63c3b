import { spawnSync } from 'node:child_process'

/** How a server process is kept from outliving a launcher that was killed. */
export type Guard = 'parent-death-signal' | 'pipe'

let measured: Guard | undefined

/** Linux with util-linux has a signal for it; elsewhere a shell watches our end of a pipe. */
export function availableGuard(): Guard {
  measured ??= spawnSync('setpriv', ['--pdeathsig=INT', 'true']).status === 0 ? 'parent-death-signal' : 'pipe'
  return measured
}

// The pipe on descriptor 0 closes when the launcher dies, however it dies; INT is Postgres's fast shutdown.
const WATCH_PIPE = `
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
(while read -r _ <&3; do :; done; kill -INT "$server") 2>/dev/null &
wait "$server"
code=$?
kill $! 2>/dev/null
exit "$code"`

/** The command line that runs `command` under the guard. */
export function guarded(guard: Guard, command: string[]): { file: string; args: string[] } {
  if (guard === 'pipe') return { file: '/bin/sh', args: ['-c', WATCH_PIPE, 'postgres-guard', ...command] }
  return { file: 'setpriv', args: ['--pdeathsig=INT', ...command] }
}
