import { note } from '../facts.ts'
import { has, parseOptions } from '../options.ts'
import { type Stream, silence, somewhere } from '../stream.ts'
import { isOpen, mark } from '../text.ts'
import { powershellCode } from '../windows/powershell-line.ts'
import { bindArguments } from './bind.ts'
import { processSource } from './expander.ts'
import { judgeInline } from './inline.ts'
import { inside } from './inside.ts'
import { resolvePath } from './paths.ts'
import { emitFact } from './report.ts'
import { fork } from './state.ts'
import type { Call, Walk } from './walk-types.ts'

const shells = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh', 'ksh93', 'mksh', 'ash', 'rbash', 'fish', 'csh', 'tcsh'])

type Language = { code: readonly string[]; first?: true; short?: string }

/** Programs that run code given in their words; `first`: the first word is code. */
const languages = new Map<RegExp, Language>([
  [/^(python|pypy)[\d.]*$/, { code: ['-c'], short: 'WXm' }],
  [/^perl[\d.]*$/, { code: ['-e', '-E'], short: 'MmI' }],
  [/^ruby[\d.]*$/, { code: ['-e'], short: 'rI' }],
  [/^(node|nodejs|bun|deno)$/, { code: ['-e', '--eval', '-p', '--print', 'eval'], short: 'r' }],
  [/^php[\d.]*$/, { code: ['-r'], short: 'dcf' }],
  [/^lua[\d.]*$/, { code: ['-e'] }],
  [/^(awk|gawk|mawk|nawk)$/, { code: ['-e', '--source'], first: true, short: 'vFf' }],
  [/^osascript$/, { code: ['-e'] }],
  [/^(tclsh|expect)$/, { code: ['-c'] }],
  [/^Rscript$/, { code: ['-e'] }],
])

/** Programs that run text: what they run is judged. Undefined when the command is none of them. */
export function interpret(call: Call): Stream | undefined {
  if (shells.has(call.verb)) return runShell(call)
  if (call.verb === 'pwsh' || call.verb === 'powershell') return runPowershell(call)
  if (call.verb === 'cmd') return later(call, 'cmd', call.args.filter(arg => !arg.startsWith('/')).join(' '))
  const inner = hooks.get(call.verb)
  if (inner) for (const arg of call.args) runHook(inner, arg, call)
  for (const [name, language] of languages) if (name.test(call.verb)) return runLanguage(call, language)
  return undefined
}

/** Programs that run a shell command found in one of their words: an editor's `:!…`, an alias of git. */
const hooks = new Map<string, RegExp>([
  ...['vi', 'vim', 'nvim', 'ex', 'view', 'ed'].map((name): [string, RegExp] => [name, /^\+?:?(?:silent\s+)?!+(.+)$/s]),
  ['git', /^(?:alias\.[^=]+=!|core\.(?:pager|editor|sshCommand|fsmonitor)=)(.+)$/is],
  ['gdb', /^(?:shell|!)\s*(.+)$/s],
])

function runHook(hook: RegExp, arg: string, call: Call): void {
  const text = hook.exec(arg)?.[1]
  const walk = inside(call.walk, call.verb)
  if (text !== undefined) walk.run.text(text, walk)
}

function runShell(call: Call): Stream {
  const { args, applied, verb } = call
  const walk = { ...inside(call.walk, verb), state: fork(call.walk.state) }
  if (applied.tcp && (args.length === 0 || args.some(arg => /^-\w*i/.test(arg)))) {
    emitFact(call, { effect: 'reverse-shell' })
    return somewhere
  }
  const { flags, rest } = parseOptions(
    args.map(arg => (/^\+\w+$/.test(arg) ? `-${arg.slice(1)}` : arg)),
    { short: 'oO', long: ['--rcfile', '--init-file'], leading: true },
  )
  const [first, ...others] = rest
  if (flags.has('-c') && first !== undefined) {
    bindArguments(walk, others[0] ?? verb, others.slice(1))
    return walk.run.text(first, walk)
  }
  if (first === undefined || flags.has('-s') || first === '-' || first === '/dev/stdin')
    return has(flags, '--version', '--help') ? silence : runStream(walk.stdin, walk, verb)
  if (call.walk.state.downloaded.has(resolvePath(first, call.walk.state.cwd)))
    note(walk.session, 'remote-code', verb, walk.scope)
  const piped = processSource(first, walk)
  if (piped) return runStream(piped, walk, verb)
  if (isOpen(first) && /^[\uE000\uE002]/.test(first)) emitFact(call, {})
  return somewhere
}

/** Bytes that a shell takes for commands. */
function runStream(stream: Stream, walk: Walk, verb: string): Stream {
  if (stream.text !== null) {
    if (stream.from === 'network') note(walk.session, 'remote-code', verb, walk.scope)
    return walk.run.text(stream.text, walk)
  }
  note(
    walk.session,
    stream.from === 'network' ? 'remote-code' : stream.from === 'decoder' ? 'hidden-code' : 'piped-code',
    verb,
    walk.scope,
  )
  return somewhere
}

function runPowershell(call: Call): Stream {
  const { code, readsInput } = powershellCode(call.args)
  if (code !== null) return later(call, 'powershell', code)
  return readsInput && call.walk.stdin.from !== 'nothing'
    ? runStream({ ...call.walk.stdin, text: null }, call.walk, call.verb)
    : silence
}

function later({ walk, verb }: Call, shell: 'cmd' | 'powershell', text: string): Stream {
  const { session, scope } = walk
  session.later.push({ shell, text, scope: { ...scope, cwd: mark.cwd, via: [...scope.via, verb] } })
  return somewhere
}

function runLanguage(call: Call, { code, first, short = '' }: Language): Stream {
  const letters = code.filter(name => /^-\w$/.test(name)).map(name => name[1])
  const { values, words, flags } = parseOptions(call.args, {
    short: letters.join('') + short,
    long: code.filter(name => name.startsWith('--') || name === 'eval'),
  })
  const given = code.flatMap(name => values.get(name) ?? [])
  if (given.length === 0 && first && !flags.has('-f')) given.push(...words.slice(0, 1))
  if (given.length === 0 && words[0] === 'eval') given.push(words[1] ?? '')
  const script = words[0] === undefined || words[0] === '-' ? call.walk.stdin : processSource(words[0], call.walk)
  if (given.length === 0 && script && !flags.has('-m') && !first) return runScript(script, call)
  for (const text of given) judgeInline(text, { ...call, walk: inside(call.walk, call.verb) })
  if (given.length === 0) emitFact(call, {})
  return { ...somewhere, secret: call.walk.stdin.secret }
}

function runScript(stream: Stream, call: Call): Stream {
  if (stream.text !== null) judgeInline(stream.text, { ...call, walk: inside(call.walk, call.verb) })
  else runStream(stream, call.walk, call.verb)
  return somewhere
}
