import { bounds } from '../bounds.ts'
import { note } from '../facts.ts'
import { parseOptions } from '../options.ts'
import { isKnown, type Stream, silence, somewhere, textStream } from '../stream.ts'
import { isOpen, mark } from '../text.ts'
import { processSource } from './expander.ts'
import { inside } from './inside.ts'
import { resolvePath } from './paths.ts'
import { printf } from './printf.ts'
import type { Call } from './walk-types.ts'

type Builtin = (call: Call) => Stream | undefined

/** What the shell itself does with its own state. Undefined: carry on as with any other command. */
export const builtins: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  ['cd', changeFolder],
  ['pushd', changeFolder],
  ['popd', forgetFolder],
  ['eval', evaluate],
  ['.', readIn],
  ['source', readIn],
  ['alias', alias],
  ['unalias', forgetAliases],
  ['unset', unset],
  ['set', setPositional],
  ['read', readVariables],
  ['mapfile', readArray],
  ['readarray', readArray],
  ['trap', trap],
  ['printf', printFormatted],
  ['command', runRest],
  ['builtin', runRest],
  ['exec', runRest],
  ['export', quiet],
  ['declare', quiet],
  ['typeset', quiet],
  ['local', quiet],
  ['readonly', quiet],
])

function quiet(): Stream {
  return silence
}

function changeFolder({ args, walk }: Call): Stream {
  const { words } = parseOptions(args)
  const [to = mark.home] = words
  walk.state.cwd = to === '-' || /^[+-]\d+$/.test(to) ? mark.unknown : resolvePath(to, walk.state.cwd)
  return silence
}

function forgetFolder({ walk }: Call): Stream {
  walk.state.cwd = mark.unknown
  return silence
}

function evaluate({ args, walk }: Call): Stream {
  return walk.run.text(args.join(' '), inside(walk, 'eval'))
}

// A script from a file stands outside the text, as any program does; one from a pipe or the network is code.
function readIn({ args, walk }: Call): Stream {
  const [file = ''] = args
  const piped = processSource(file, walk) ?? (file === '/dev/stdin' ? walk.stdin : undefined)
  if (!piped) return isOpen(file) ? somewhere : silence
  if (isKnown(piped)) return walk.run.text(piped.text, walk)
  note(walk.session, piped.from === 'network' ? 'remote-code' : 'piped-code', 'source', walk.scope)
  return somewhere
}

function alias({ args, walk }: Call): Stream {
  for (const arg of args) {
    const at = arg.indexOf('=')
    if (at > 0) walk.state.aliases.set(arg.slice(0, at), arg.slice(at + 1))
  }
  return silence
}

function forgetAliases({ args, walk }: Call): Stream {
  for (const name of args) walk.state.aliases.delete(name)
  return silence
}

function unset({ args, walk }: Call): Stream {
  for (const name of args.filter(arg => !arg.startsWith('-'))) {
    walk.state.vars.set(name, [''])
    walk.state.arrays.delete(name)
    if (args.includes('-f')) walk.state.functions.delete(name)
  }
  return silence
}

function setPositional({ args, walk }: Call): Stream {
  const at = args.indexOf('--')
  if (at >= 0) {
    const rest = args.slice(at + 1)
    for (const [index, value] of rest.slice(0, 9).entries()) walk.state.vars.set(String(index + 1), [value])
    for (const name of ['@', '*']) walk.state.vars.set(name, [rest.join(mark.split)])
  }
  return silence
}

function readVariables({ args, walk }: Call): Stream {
  const { words } = parseOptions(args, { short: 'adinNptu' })
  const known =
    words.length === 1 && isKnown(walk.stdin) ? walk.stdin.text.split('\n').slice(0, bounds.alternatives) : null
  for (const name of words) walk.state.vars.set(name, known?.filter(line => line !== '') ?? [mark.unknown])
  return silence
}

function readArray({ args, walk }: Call): Stream {
  const { words } = parseOptions(args, { short: 'dnOsutCc' })
  const lines = isKnown(walk.stdin) ? walk.stdin.text.split('\n').filter(line => line !== '') : [mark.unknown]
  for (const name of words.length > 0 ? words : ['MAPFILE']) walk.state.arrays.set(name, lines.slice(0, bounds.fields))
  return silence
}

function trap({ args, walk }: Call): Stream {
  const [text = ''] = parseOptions(args).words
  return text === '' || text === '-' ? silence : walk.run.text(text, walk)
}

function printFormatted({ args, walk }: Call): Stream {
  const toVariable = args[0] === '-v'
  const [format = '', ...values] = toVariable ? args.slice(2) : args[0] === '--' ? args.slice(1) : args
  const text = printf(format, values)
  if (!toVariable) return text.includes(mark.secret) ? { ...somewhere, secret: true } : textStream(text)
  walk.state.vars.set(args[1] ?? '', [text])
  return silence
}

function runRest({ verb, args, walk, applied }: Call): Stream | undefined {
  const { flags, rest } = parseOptions(args, { short: 'a', leading: true })
  if (verb === 'command' && (flags.has('-v') || flags.has('-V'))) return textStream(`${rest[0] ?? ''}\n`)
  if (rest.length === 0) return verb === 'exec' && applied.tcp ? undefined : silence
  return walk.run.call(rest, inside(walk, verb), applied)
}
