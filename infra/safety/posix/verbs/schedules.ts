import { parseOptions } from '../../options.ts'
import { inside } from '../inside.ts'
import type { Call } from '../walk-types.ts'

/** What is handed to at, batch or crontab runs later: it is judged now. */
export function schedule({ verb, args, walk }: Call): boolean {
  const { flags, words } = parseOptions(args, { short: verb === 'crontab' ? 'u' : 'qft' })
  const reads = verb === 'crontab' ? words.includes('-') : !['-l', '-r', '-d', '-c', '-b'].some(flag => flags.has(flag))
  const { text } = walk.stdin
  if (!reads || text === null) return false
  const jobs =
    verb === 'crontab' ? text.replace(/^\uE000+$/gm, '').replace(/^[ \t]*(@\w+|([^\s#=]+[ \t]+){5})/gm, '') : text
  walk.run.text(jobs, inside(walk, verb))
  return false
}
