import type { Scope } from '../facts.ts'
import { has, parseOptions } from '../options.ts'
import { concat, isKnown, type Stream, somewhere } from '../stream.ts'
import { hasPattern, isOpen, mark } from '../text.ts'
import { inside } from './inside.ts'
import { quote } from './quote.ts'
import { emitFact } from './report.ts'
import { fork } from './state.ts'
import type { Call, Walk } from './walk-types.ts'
import { type Wrapper, wrappers } from './wrappers.ts'

/** Runs what is inside a wrapper; undefined when the command wraps nothing. */
export function unwrap(call: Call): Stream | undefined {
  if (call.verb === 'xargs') return unwrapXargs(call)
  if (call.verb === 'parallel') return unwrapParallel(call)
  const candidates = wrappers.get(call.verb) ?? []
  for (const wrapper of candidates) {
    const args = afterSubcommand(call.args, wrapper)
    if (args) return runInside({ ...call, args }, wrapper)
  }
  return undefined
}

// `docker --host x exec …`: the options of the tool stand before its subcommand.
function afterSubcommand(args: string[], { under }: Wrapper): string[] | undefined {
  if (!under) return args
  let at = 0
  for (const names of under) {
    while (at < args.length && (args[at]?.startsWith('-') || isOptionValue(args, at, names))) at += 1
    if (!names.split('|').includes(args[at] ?? '')) return undefined
    at += 1
  }
  return args.slice(at)
}

const isOptionValue = (args: string[], at: number, names: string) =>
  /^(-H|--host|--context|-c|-n|--namespace|--kubeconfig|-s|--server|--cluster|--user|-f|--file|-p|--project-name|-l|--config|-L|-S)$/.test(
    args[at - 1] ?? '',
  ) && !names.split('|').includes(args[at] ?? '')

function runInside(call: Call, wrapper: Wrapper): Stream | undefined {
  const { walk, verb } = call
  const options = parseOptions(call.args, {
    ...wrapper,
    short: shortOf(wrapper),
    long: [...(wrapper.long ?? []), ...(wrapper.scripts ?? [])],
    leading: true,
  })
  const inner = {
    ...walk,
    state: wrapper.elsewhere ? { ...fork(walk.state), cwd: mark.cwd } : walk.state,
    scope: within(walk.scope, verb, wrapper),
  }
  const loose = parseOptions(call.args, {
    short: shortOf(wrapper),
    long: [...(wrapper.long ?? []), ...(wrapper.scripts ?? [])],
  })
  const scripts = (wrapper.scripts ?? []).flatMap(name => loose.values.get(name) ?? [])
  if (scripts.length > 0) return concat(scripts.map(script => inner.run.text(script, inner)))
  const words = commandIn(options.rest, wrapper, inner)
  if (wrapper.elsewhere && walk.stdin.secret) emitFact(call, { effect: 'exfiltrate' })
  if (wrapper.volumes) emitFact({ ...call, args: [wrapper.under?.at(-1) ?? '', ...call.args] }, {})
  if (words.length === 0)
    return runsShell(call, wrapper, options.flags) ? inner.run.call(['sh'], inner, call.applied) : undefined
  if (!wrapper.text || has(options.flags, '--exec') || (verb === 'watch' && options.flags.has('-x')))
    return inner.run.call(words, inner, call.applied)
  return inner.run.text(words.map(textWord).join(' '), inner)
}

const shortOf = ({ short = '', scripts = [] }: Wrapper) =>
  short +
  scripts
    .filter(name => /^-\w$/.test(name))
    .map(name => name[1])
    .join('')

function within(scope: Scope, verb: string, { privileged }: Wrapper): Scope {
  return { ...scope, via: [...scope.via, verb], privileged: scope.privileged || privileged === true }
}

// Wrappers that start a shell when no command is given: what comes by the pipe is then code.
function runsShell({ verb, walk }: Call, { privileged, elsewhere }: Wrapper, flags: Set<string>): boolean {
  const reads = walk.stdin.from !== 'nothing' || walk.stdin.text !== ''
  return (
    reads &&
    (verb === 'ssh' ||
      (privileged === true && (verb === 'su' || elsewhere === true || has(flags, '-s', '-i', '--shell', '--login'))))
  )
}

function commandIn(rest: string[], { skip = 0, assignments, separated }: Wrapper, walk: Walk): string[] {
  if (separated && rest.includes('--')) return rest.slice(rest.indexOf('--') + 1)
  let at = skip
  if (assignments) {
    for (; /^[A-Za-z_]\w*=/.test(rest[at] ?? ''); at += 1) {
      const [name = '', ...value] = (rest[at] ?? '').split('=')
      walk.state.vars.set(name, [value.join('=')])
    }
  }
  const words = rest.slice(at)
  return words[0] === '--' ? words.slice(1) : words
}

// Marks survive being read again; patterns and unknown words must not be quoted away.
const textWord = (word: string) => (word === '' ? "''" : word)

const readsLines = {
  short: 'aEdILlnPs',
  long: ['--arg-file', '--delimiter', '--max-args', '--max-procs', '--max-lines', '--replace', '--max-chars'],
  leading: true,
}

function unwrapXargs({ args, walk, applied }: Call): Stream {
  const { values, flags, rest } = parseOptions(args, readsLines)
  const inner = inside(walk, 'xargs')
  const fromFile = values.has('-a') || values.has('--arg-file')
  const added = fromFile ? [mark.unknown] : itemsOf(walk.stdin, flags)
  const command = rest.length > 0 ? rest : ['echo']
  const place = values.get('-I')?.[0] ?? values.get('--replace')?.[0] ?? (flags.has('-i') ? '{}' : undefined)
  const words = place
    ? command.flatMap(word => (word.includes(place) ? added.map(value => word.replaceAll(place, () => value)) : [word]))
    : [...command, ...added]
  return inner.run.call(words.slice(0, 512), inner, applied)
}

// Blanks part items, unless zeros, a delimiter or whole lines were asked for.
function itemsOf(stream: Stream, flags: ReadonlySet<string>): string[] {
  if (!isKnown(stream) || hasPattern(stream.text)) return guess(stream)
  const parts = has(flags, '-0', '--null')
    ? /\0/
    : has(flags, '-d', '--delimiter', '-I', '--replace', '-L', '-i')
      ? /\n/
      : /[\s\0]+/
  return stream.text.split(parts).filter(word => word.trim() !== '')
}

const guess = (stream: Stream) =>
  stream.text !== null ? stream.text.split(/\s+/).filter(word => word !== '') : [mark.unknown]

function unwrapParallel({ args, walk }: Call): Stream {
  const { rest } = parseOptions(args, {
    short: 'jaNnLdSIC',
    long: ['--jobs', '--arg-file', '--sshlogin', '--delay', '--timeout', '--retries', '--colsep'],
    leading: true,
  })
  const at = rest.findIndex(word => /^:{3,4}\+?$/.test(word))
  const command = (at < 0 ? rest : rest.slice(0, at)).join(' ')
  const values = at < 0 ? guess(walk.stdin) : rest[at] === ':::' ? rest.slice(at + 1) : [mark.unknown]
  const inner = inside(walk, 'parallel')
  if (command === '') return concat(values.map(value => inner.run.text(value, inner)))
  const texts = /\{[^}]*\}/.test(command)
    ? values.map(value => command.replaceAll(/\{[#%./]*\}/g, () => value))
    : values.map(value => `${command} ${isOpen(value) ? value : quote(value)}`)
  return texts.length > 0 ? concat(texts.slice(0, 16).map(text => inner.run.text(text, inner))) : somewhere
}
