import { note, type Scope, type Session } from '../facts.ts'
import { isDynamic, mark } from '../text.ts'
import { delegate } from '../windows/delegate.ts'
import { judgeNative } from '../windows/native.ts'
import { resolveWindowsPath } from '../windows/paths.ts'
import { emitWindows, reportWindowsPaths, type WindowsCall } from '../windows/report.ts'
import { type CmdVariables, expandVariables } from './expand.ts'
import { bare, type CmdCommand, tokenize } from './tokenize.ts'
import { builtins, textBuiltins } from './verbs.ts'

export type CmdWalk = { session: Session; scope: Scope; variables: CmdVariables }

/** Judges a text for cmd.exe, line by line: each is expanded when its turn comes. */
export function judgeCmd(text: string, scope: Scope, session: Session): void {
  const walk: CmdWalk = { session, scope: { ...scope }, variables: new Map() }
  if ((text.match(/"/g)?.length ?? 0) % 2 === 1) note(session, 'parse-error', 'a quote that is not closed', scope)
  const lines = text.replace(/\^\r?\n/g, '').split(/\r?\n/)
  for (const line of lines) runLine(line, walk)
}

function runLine(line: string, walk: CmdWalk): void {
  if (!walk.session.budget.spend(walk.scope.depth)) return
  const shape = tokenize(line)
  // With delayed values a command sees what those before it on the line have set; without, it does not: both are judged.
  const early = tokenize(expandVariables(line, walk.variables))
  early.forEach((command, index) => runCommand(command, early[index + 1], walk))
  if (line.includes('%') || line.includes('!')) {
    const late = shape.map(command => expandCommand(command, walk))
    if (JSON.stringify(late) !== JSON.stringify(early))
      late.forEach((command, index) => runCommand(command, late[index + 1], walk))
  }
}

function expandCommand(command: CmdCommand, { variables }: CmdWalk): CmdCommand {
  const words = command.words.flatMap(word => tokenize(expandVariables(word, variables)).flatMap(({ words }) => words))
  return { ...command, words }
}

function runCommand(command: CmdCommand, next: CmdCommand | undefined, walk: CmdWalk): void {
  if (!walk.session.budget.spend(walk.scope.depth)) return
  const [first = '', ...args] = command.words
  const name = first.replace(/^@+/, '')
  const pipesInto = next?.joined === '|' ? bare(next.words[0] ?? '') : null
  const call: WindowsCall = { ...walk, verb: verbOf(name), args: args.map(bare), pipesInto }
  for (const { operator, target } of command.redirects) redirect(call, operator, bare(target))
  if (name === '') return
  const rest = command.raw.trim().replace(/^@+/, '')
  if (textBuiltins.has(call.verb)) {
    runText(call, args, rest, walk)
    return
  }
  run(command, call, walk)
}

function verbOf(name: string): string {
  const written = bare(name)
  // `del/s`, `cd..`, `rd\x`: cmd's own commands need no blank.
  const own =
    /^(del|erase|rd|rmdir|cd|chdir|md|mkdir|copy|move|ren|type|echo|dir|call|start|if|for|set|rem|format)(?=[/\\.:,;=(]|$)/i.exec(
      written,
    )
  return (own?.[1] ?? written.replace(/^.*[\\/](?=[^\\/]+$)/, '')).toLowerCase().replace(/\.(exe|com|cmd|bat)$/, '')
}

function redirect(call: WindowsCall, operator: string, target: string): void {
  if (operator === '<' || operator === '>&' || /^(nul|con|prn|&?\d)$/i.test(target)) return
  reportWindowsPaths(call, operator === '>>' ? 'append' : 'overwrite', [target])
}

// Commands whose words are again commands.
function runText(call: WindowsCall, args: string[], rest: string, walk: CmdWalk): void {
  const texts = textBuiltins.get(call.verb)?.(args, rest, walk) ?? []
  for (const text of texts) runLine(text, { ...walk, scope: { ...walk.scope, depth: walk.scope.depth + 1 } })
}

function run({ words }: CmdCommand, call: WindowsCall, walk: CmdWalk): void {
  const attached = bare(words[0] ?? '').slice(call.verb.length)
  const args = [...(attached.startsWith('/') ? [attached] : []), ...call.args].flatMap(splitSwitches)
  const full = builtins.has(call.verb) ? { ...call, args } : call
  if (isDynamic(call.verb)) {
    emitWindows(call, { effect: 'dynamic', dynamic: true })
    return
  }
  if (full.verb === 'cd' || full.verb === 'chdir' || full.verb === 'pushd') {
    changeFolder(full, attached, walk)
    return
  }
  if (/^[a-z]:$/.test(full.verb)) walk.scope.cwd = resolveWindowsPath(`${full.verb}\\`, mark.cwd)
  const builtin = builtins.get(full.verb)
  if (builtin) builtin(full)
  else if (!judgeNative(full)) delegate(full)
}

// `/s/q` is two switches.
const splitSwitches = (arg: string) => (/^(\/[a-z?])+$/i.test(arg) ? arg.split(/(?=\/)/) : [arg])

function changeFolder({ args, scope }: WindowsCall, attached: string, walk: CmdWalk): void {
  const [to] = args.filter(arg => !/^\/d$/i.test(arg)).concat(/^[\\.]/.test(attached) ? [attached] : [])
  if (to !== undefined) walk.scope.cwd = resolveWindowsPath(to, scope.cwd)
}
