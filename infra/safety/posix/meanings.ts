import type { Stream } from '../stream.ts'
import { outputOf } from './output.ts'
import { emitFact } from './report.ts'
import { chmod, chown } from './verbs/access.ts'
import { judgeStatements } from './verbs/databases.ts'
import { disk } from './verbs/disks.ts'
import { cp, dd, ln, mv, remove, rsync, sed, shred, tar, tee, truncate } from './verbs/files.ts'
import { find } from './verbs/find.ts'
import { looksForSecrets } from './verbs/network.ts'
import { kill, pkill } from './verbs/processes.ts'
import { schedule } from './verbs/schedules.ts'
import { initScript, service, systemctl } from './verbs/services.ts'
import type { Call } from './walk-types.ts'

/** Reports what a command does; answers true when it reported anything. */
type Meaning = (call: Call) => boolean | Stream

const many = (names: string[], meaning: Meaning): [string, Meaning][] => names.map(name => [name, meaning])

const meanings = new Map<string, Meaning>([
  ...many(['rm', 'rmdir', 'unlink', 'srm', 'trash', 'rimraf'], remove),
  ...many(['shred', 'wipe'], shred),
  ...many(['chown', 'chgrp'], chown),
  ...many(['kill'], kill),
  ...many(['pkill', 'killall', 'skill', 'slay'], pkill),
  ...many(['cp', 'install', 'scp'], cp),
  ...many(['at', 'batch', 'crontab'], schedule),
  ...many(['service', 'rc-service', 'invoke-rc.d', 'initctl', 'sv', 'rcctl'], service),
  ['systemctl', systemctl],
  ['chmod', chmod],
  ['mv', mv],
  ['ln', ln],
  ['dd', dd],
  ['tee', tee],
  ['truncate', truncate],
  ['rsync', rsync],
  ['sed', sed],
  ['tar', tar],
  ['find', find],
])

/** A command that is neither the shell's own nor wraps another: says what it does, answers what it prints. */
export function mean(call: Call): Stream {
  if (asksForHelp(call)) return outputOf(call)
  const reported = (meanings.get(call.verb) ?? initScript)(call)
  if (typeof reported === 'object') return reported
  const output = outputOf(call)
  const more = [disk(call), judgeStatements(call), looksForSecrets(call, output.secret)].some(Boolean)
  if (!reported && !more) emitFact(call, {})
  return output
}

// After an operand `--help` may not be read any more, so it only counts where it stands first or alone with words.
function asksForHelp({ args }: Call): boolean {
  const at = args.findIndex(arg => arg === '--help' || arg === '--version')
  return at === 0 || (at > 0 && at <= 2 && args.slice(0, at).every(arg => /^[a-z][a-z-]*$/.test(arg)))
}
