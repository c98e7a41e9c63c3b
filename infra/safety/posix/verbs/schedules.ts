import { parseOptions } from '../../options.ts'
import { isKnown } from '../../stream.ts'
import { inside } from '../inside.ts'
import type { Call } from '../walk-types.ts'

/** What is handed to at, batch or crontab runs later: it is judged now. */
export function schedule({ verb, args, walk }: Call): boolean {
  const { flags, words } = parseOptions(args, { short: verb === 'crontab' ? 'u' : 'qft' })
  const reads = verb === 'crontab' ? words.includes('-') : !['-l', '-r', '-d', '-c', '-b'].some(flag => flags.has(flag))
  if (!reads || !isKnown(walk.stdin)) return false
  const { text } = walk.stdin
  const jobs = verb === 'crontab' ? text.replace(/^[ \t]*(@\w+|([^\s#=]+[ \t]+){5})/gm, '') : text
  walk.run.text(jobs, inside(walk, verb))
  return false
}
