import { has, parseOptions } from '../../options.ts'
import { mark } from '../../text.ts'
import { inside } from '../inside.ts'
import { judgePath } from '../paths.ts'
import { reportPaths } from '../report.ts'
import type { Call } from '../walk-types.ts'

export function remove(call: Call): boolean {
  const { flags, words } = parseOptions(call.args)
  const recursive = has(flags, '-r', '-R', '--recursive') || call.verb === 'rimraf'
  reportPaths(call, 'delete', words, { recursive, force: has(flags, '-f', '--force') })
  return words.length > 0
}

export function shred(call: Call): boolean {
  const { flags, words } = parseOptions(call.args, { short: 'ns', long: ['--iterations', '--size', '--random-source'] })
  return destroy(call, words, has(flags, '-r'))
}

export function truncate(call: Call): boolean {
  const { words } = parseOptions(call.args, { short: 'sr', long: ['--size', '--reference'] })
  return destroy(call, words, false)
}

// Overwriting what is on a disk is more than overwriting a file.
function destroy(call: Call, written: string[], recursive: boolean): boolean {
  const disks = written.filter(path => judgePath(path, call.walk.state.cwd).kinds.includes('disk'))
  const files = written.filter(path => !disks.includes(path))
  if (disks.length > 0) reportPaths(call, 'wipe', disks)
  if (files.length > 0) reportPaths(call, 'overwrite', files, { recursive })
  return written.length > 0
}

export function tee(call: Call): boolean {
  const { flags, words } = parseOptions(call.args)
  if (!has(flags, '-a', '--append')) return destroy(call, words, false)
  reportPaths(call, 'append', words)
  return words.length > 0
}

export function dd(call: Call): boolean {
  const output = call.args.filter(arg => arg.startsWith('of=')).map(arg => arg.slice(3))
  return destroy(call, output, false)
}

export function cp(call: Call): boolean {
  const { values, words } = parseOptions(call.args, {
    short: call.verb === 'cp' ? 'tS' : 'tSmogPiFcJlo',
    long: ['--target-directory', '--suffix', '--mode', '--owner', '--group'],
  })
  const into = values.get('-t')?.[0] ?? values.get('--target-directory')?.[0]
  const to = into ?? words.at(-1)
  const from = into ? words : words.slice(0, -1)
  if (to === undefined || from.length === 0) return false
  return destroy(call, inFolder(to, from), false)
}

// Copied into a folder, a file takes its own name there.
function inFolder(to: string, from: readonly string[]): string[] {
  const names = from
    .map(path => path.slice(path.lastIndexOf('/') + 1))
    .filter(name => name !== '' && !name.startsWith('.'))
  return [to, ...names.map(name => `${to}/${name}`)].filter((path, index) => index > 0 || !path.endsWith('/'))
}

export function mv(call: Call): boolean {
  const { values, words } = parseOptions(call.args, { short: 'tS', long: ['--target-directory', '--suffix'] })
  const into = values.get('-t')?.[0] ?? values.get('--target-directory')?.[0]
  const to = into ?? words.at(-1) ?? ''
  const from = into ? words : words.slice(0, -1)
  if (from.length === 0) return false
  reportPaths(call, to === '/dev/null' ? 'delete' : 'move', from, { recursive: true })
  destroy(call, [to], false)
  return true
}

export function ln(call: Call): boolean {
  const { flags, words } = parseOptions(call.args, { short: 'tS' })
  if (!has(flags, '-f', '--force') || words.length < 2) return false
  return destroy(call, words.slice(-1), false)
}

export function sed(call: Call): boolean {
  const { flags, values, words } = parseOptions(call.args, { short: 'ef', long: ['--expression', '--file'] })
  if (!has(flags, '-i', '--in-place')) return false
  const files = values.has('-e') || values.has('-f') || values.has('--expression') ? words : words.slice(1)
  reportPaths(call, 'append', files)
  return true
}

export function rsync(call: Call): boolean {
  const { flags, words } = parseOptions(call.args, {
    short: 'efBMT',
    long: ['--exclude', '--include', '--filter', '--rsh', '--files-from', '--exclude-from'],
  })
  const deletes = [...flags].some(flag => /^--(del|delete.*|remove-source-files)$/.test(flag))
  const to = words.at(-1) ?? ''
  if (!deletes || words.length < 2 || has(flags, '-n', '--dry-run')) return false
  const path = to.replace(/^[^/:]+:/, '')
  // Only what the source lacks is deleted; where that may be everything it counts as all.
  const { kinds } = judgePath(path, call.walk.state.cwd)
  const all = kinds.some(kind =>
    ['root', 'system-folder', 'home', 'unknown', 'unknown-root', 'user-home'].includes(kind),
  )
  reportPaths(call, all ? 'delete' : 'delete-some', [path], { recursive: true })
  return true
}

export function tar(call: Call): boolean {
  const actions = call.args.flatMap(
    arg => /^(?:--checkpoint-action=exec=|--to-command=|--use-compress-program=)(.*)$/.exec(arg)?.[1] ?? [],
  )
  for (const action of actions) call.walk.run.text(action, inside(call.walk, 'tar'))
  if (!call.args.includes('--remove-files')) return false
  const { words } = parseOptions(call.args.slice(1), { short: 'fCX', long: ['--file', '--directory', '--exclude'] })
  reportPaths(call, 'delete', words.length > 0 ? words : [mark.unknown], { recursive: true })
  return true
}
