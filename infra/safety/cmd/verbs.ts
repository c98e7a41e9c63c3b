import { mark } from '../text.ts'
import { emitWindows, reportWindowsPaths, type WindowsCall } from '../windows/report.ts'
import { bare } from './tokenize.ts'
import type { CmdWalk } from './walk.ts'

const has = (args: readonly string[], name: string) => args.some(arg => arg.toLowerCase() === name)
const words = (args: readonly string[]) => args.filter(arg => !/^\/[A-Za-z?][\w:-]*$/.test(arg))
// A name with a blank that was not quoted is meant as a whole by whoever wrote it.
const paths = (args: readonly string[]) => {
  const found = words(args)
  return found.length > 1 ? [...found, found.join(' ')] : found
}

type Builtin = (call: WindowsCall) => void

/** cmd's own commands that act on files. */
export const builtins: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  ['del', remove],
  ['erase', remove],
  ['rd', removeFolder],
  ['rmdir', removeFolder],
  ['deltree', removeFolder],
  ['move', move],
  ['ren', move],
  ['rename', move],
  ['copy', copy],
  ['xcopy', copy],
  ['echo', quiet],
  ['rem', quiet],
  ['::', quiet],
  ['type', quiet],
  ['dir', quiet],
  ['set', quiet],
  ['title', quiet],
  ['md', quiet],
  ['mkdir', quiet],
  ['exit', quiet],
  ['goto', quiet],
  ['pause', quiet],
  ['popd', quiet],
  ['setlocal', quiet],
  ['endlocal', quiet],
  ['find', quiet],
  ['findstr', quiet],
  ['more', quiet],
  ['where', quiet],
  ['help', quiet],
  ['ver', quiet],
  ['attrib', quiet],
  ['sort', quiet],
  ['timeout', quiet],
])

function quiet(call: WindowsCall): void {
  emitWindows(call, {})
}

function remove(call: WindowsCall): void {
  const { args } = call
  if (has(args, '/?')) {
    quiet(call)
    return
  }
  const targets = paths(args)
  const everything = targets.some(target => /(^|[\\/])(\*(\.\*)?)?$|^[A-Za-z]:$/.test(target))
  reportWindowsPaths(call, 'delete', targets, {
    recursive: has(args, '/s') || everything,
    force: has(args, '/f') || has(args, '/q'),
  })
}

function removeFolder(call: WindowsCall): void {
  if (has(call.args, '/?')) {
    quiet(call)
    return
  }
  reportWindowsPaths(call, 'delete', paths(call.args), {
    recursive: has(call.args, '/s') || call.verb === 'deltree',
    force: has(call.args, '/q'),
  })
}

function move(call: WindowsCall): void {
  reportWindowsPaths(call, 'move', words(call.args).slice(0, 1), { recursive: true })
}

function copy(call: WindowsCall): void {
  const to = words(call.args).slice(1)
  reportWindowsPaths(call, 'overwrite', to.slice(-1))
}

type TextBuiltin = (args: string[], rest: string, walk: CmdWalk) => string[]

/** Commands that hold other commands; each answers the lines they hold. */
export const textBuiltins: ReadonlyMap<string, TextBuiltin> = new Map<string, TextBuiltin>([
  ['call', (_, rest) => [rest.replace(/^call\b/i, '')]],
  ['if', (_, rest) => [afterCondition(rest)]],
  ['else', (_, rest) => [rest.replace(/^else\b/i, '')]],
  ['for', loop],
  ['set', assign],
  ['echo', () => []],
  ['rem', () => []],
  ['::', () => []],
])

function afterCondition(rest: string): string {
  return rest.replace(
    /^if\s+(\/i\s+)?(not\s+)?((exist|defined|errorlevel|cmdextversion)\s+("[^"]*"|\S+)|("[^"]*"|\S+?)\s*(==|\s+(?:equ|neq|lss|leq|gtr|geq)\s+|\s)\s*("[^"]*"|\S+))\s*\(?/i,
    '',
  )
}

// `for /f … %i in ('command') do text`: the command runs, and the text for every value.
function loop(_: string[], rest: string, { variables }: CmdWalk): string[] {
  const parts = /^for\s+(.*?)%?%(\S)\s+in\s*\(?(.*?)\)?\s+do\s+\(?(.*)$/is.exec(rest)
  if (!parts) return []
  const [, options = '', name = '', set = '', body = ''] = parts
  const command = /^\s*(['`])(.*)\1\s*$/s.exec(set)
  const values = set.split(/[\s,;]+/).filter(word => word !== '')
  const fromFile = /\/f/i.test(options)
  variables.set(
    `%${name.toLowerCase()}`,
    fromFile ? (echoed(command?.[2]) ?? mark.unknown) : values.map(bare).join(' '),
  )
  return [...(fromFile && command ? [command[2] ?? ''] : []), body]
}

const echoed = (command: string | undefined) => /^\s*echo[ .](.*)$/i.exec(command ?? '')?.[1]

function assign(_: string[], rest: string, { variables }: CmdWalk): string[] {
  const given = /^set\s+(?:\/p\s+)?"?([^=]+?)=(.*?)"?\s*$/is.exec(rest)
  if (given && /^set\s+\/p/i.test(rest)) variables.set((given[1] ?? '').toLowerCase(), mark.unknown)
  else if (given && !/^set\s+\/a/i.test(rest)) variables.set((given[1] ?? '').toLowerCase(), given[2] ?? '')
  return []
}
