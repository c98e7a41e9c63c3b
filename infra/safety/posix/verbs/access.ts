import { has, parseOptions } from '../../options.ts'
import { reportPaths } from '../report.ts'
import type { Call } from '../walk-types.ts'

const worldWritable = /^0?[0-7]?[0-7]{2}[2367]$|(^|,)[ugo]*[oa][ugoa]*[+=][rxXst]*w|(^|,)\+[rx]*w/
const setuid = /^0?[4-7][0-7]{3}$|(^|,)[ua]*[+=][rwx]*s/
const takesAway = /^0{1,4}$|(^|,)[augo]*-[rwx]*[rx]|(^|,)[a]?=($|,)/

export function chmod(call: Call): boolean {
  const reference = call.args.some(arg => arg.startsWith('--reference'))
  // A mode such as `-x` looks like an option; chmod's own options are these.
  const options = call.args.filter(arg => /^-[Rcfv]+$|^--/.test(arg))
  const { flags } = parseOptions(options)
  const rest = call.args.filter(arg => !options.includes(arg))
  const [mode = '', ...paths] = reference ? ['', ...rest] : rest
  const recursive = has(flags, '-R', '--recursive')
  if (worldWritable.test(mode)) reportPaths(call, 'world-writable', paths, { recursive })
  if (setuid.test(mode)) reportPaths(call, 'setuid', paths, { recursive })
  if (recursive || takesAway.test(mode))
    reportPaths(call, 'permissions', paths, { recursive, force: takesAway.test(mode) })
  return recursive || [worldWritable, setuid, takesAway].some(kind => kind.test(mode))
}

export function chown(call: Call): boolean {
  const { flags, words } = parseOptions(call.args, { long: ['--from'] })
  const reference = call.args.some(arg => arg.startsWith('--reference'))
  const recursive = has(flags, '-R', '--recursive')
  const [owner = '', ...paths] = reference ? ['', ...words] : words
  if (!recursive && /^(root|0|:root|:0|wheel|shadow)?(:(root|0|wheel|shadow))?$/.test(owner)) return false
  reportPaths(call, 'owner', paths, { recursive })
  return true
}
