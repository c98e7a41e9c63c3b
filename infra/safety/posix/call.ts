import { emit, note, plainFact } from '../facts.ts'
import { type Stream, somewhere } from '../stream.ts'
import { hasPattern, isDynamic, patternOf } from '../text.ts'
import { bindArguments } from './bind.ts'
import { builtins } from './builtins.ts'
import { interpret } from './interpreters.ts'
import { mean } from './meanings.ts'
import { resolvePath } from './paths.ts'
import { quote } from './quote.ts'
import { fork } from './state.ts'
import { unwrap } from './unwrap.ts'
import type { Applied, Call, Walk } from './walk-types.ts'

const nothingApplied: Applied = { stdin: null, written: [], tcp: false, output: false }

/** Runs the words as the shell would, down to the commands that act; answers what they would print. */
export function runCall(argv: readonly string[], outer: Walk, applied: Applied = nothingApplied): Stream {
  const [name, ...args] = argv
  if (name === undefined) return somewhere
  const walk = { ...outer, scope: { ...outer.scope, cwd: outer.state.cwd, depth: outer.scope.depth + 1 } }
  if (!walk.session.budget.spend(walk.scope.depth)) return somewhere
  const own = callFunction(name, args, walk) ?? callAlias(name, args, walk)
  if (own) return own
  if (walk.state.downloaded.has(resolvePath(name, walk.state.cwd))) note(walk.session, 'remote-code', name, walk.scope)
  const verbs = verbsOf(name)
  if (verbs.length === 0) return dynamicCall(name, args, walk)
  return verbs.map(verb => callVerb({ verb, args, walk, applied })).at(-1) ?? somewhere
}

function callVerb(call: Call): Stream {
  const builtin = builtins.get(call.verb)
  return builtin?.(call) ?? unwrap(call) ?? interpret(call) ?? mean(call)
}

/** Names that a pattern in place of a command could match and that would matter. */
const patternVerbs = [
  'rm',
  'dd',
  'shred',
  'chmod',
  'chown',
  'mkfs',
  'find',
  'bash',
  'sh',
  'reboot',
  'shutdown',
  'wipefs',
  'sudo',
  'curl',
  'nc',
]

// The last part of the path is the command; nothing when that part is not known.
function verbsOf(name: string): string[] {
  const base = name.slice(name.lastIndexOf('/') + 1)
  if (base === '' || isDynamic(base)) return []
  if (hasPattern(base)) return patternVerbs.filter(verb => patternOf(base).test(verb))
  return [base === '.' || base === '..' ? '.' : base.replace(/\.exe$/i, '')]
}

function dynamicCall(name: string, args: string[], walk: Walk): Stream {
  emit(walk.session, { ...plainFact(name, args, walk.scope), effect: 'dynamic', dynamic: true })
  return somewhere
}

function callFunction(name: string, args: string[], walk: Walk): Stream | undefined {
  const body = walk.state.functions.get(name)
  if (!body) return undefined
  if (walk.state.calling.includes(body)) {
    if (walk.pipesInto !== null) note(walk.session, 'fork-bomb', name, walk.scope)
    return somewhere
  }
  const { state } = walk
  const before = positional(state.vars)
  bindArguments(walk, name, args)
  const calling = state.calling
  const inner = { ...walk, state: { ...state, calling: [...calling, body] } }
  const output = walk.run.node(body, inner)
  state.cwd = inner.state.cwd
  for (const [key] of positional(state.vars)) state.vars.delete(key)
  for (const [key, value] of before) state.vars.set(key, value)
  return output
}

const positional = (vars: Map<string, string[]>) => [...vars].filter(([name]) => /^(\d+|@|\*)$/.test(name))

// An alias is text in front of the words that follow it.
function callAlias(name: string, args: string[], walk: Walk): Stream | undefined {
  const text = walk.state.aliases.get(name)
  if (text === undefined) return undefined
  const state = fork(walk.state)
  state.aliases.delete(name)
  return walk.run.text([text, ...args.map(quote)].join(' '), { ...walk, state })
}
