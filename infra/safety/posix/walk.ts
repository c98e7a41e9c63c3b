import type { AndOr, CommandNode, CompoundList, Pipeline, Statement } from 'unbash'
import { note } from '../facts.ts'
import { concat, type Stream, silence, somewhere } from '../stream.ts'
import { mark } from '../text.ts'
import { runCommand } from './command.ts'
import { expandWord } from './expand.ts'
import { expanderFor } from './expander.ts'
import { applyRedirects } from './redirect.ts'
import { fork, join, unite } from './state.ts'
import type { Walk } from './walk-types.ts'

/** Judges a text in the POSIX shells' language (bash's, which contains it); answers what it would print. */
export function runText(text: string, walk: Walk): Stream {
  const { session, scope } = walk
  if (!session.budget.spend(scope.depth)) return somewhere
  const script = walk.parse(text)
  if (script.errors?.length) note(session, 'parse-error', script.errors[0]?.message ?? 'cannot be parsed', scope)
  return runStatements(script.commands, walk)
}

export function runStatements(statements: readonly Statement[], walk: Walk): Stream {
  return concat(
    statements.map(({ command, background }) => {
      if (!background) return runNode(command, walk)
      runNode(command, { ...walk, state: fork(walk.state), pipesInto: '&' })
      return silence
    }),
  )
}

function runNode(node: Statement['command'], walk: Walk): Stream {
  if (!walk.session.budget.spend(walk.scope.depth)) return somewhere
  if (node.type === 'AndOr') return runAndOr(node, walk)
  if (node.type === 'Pipeline') return runPipeline(node, walk)
  return runCommandNode(node, walk)
}

// `a && b`: b runs with what a left. `a || b`: it may run with what a left undone.
function runAndOr({ commands, operators }: AndOr, walk: Walk): Stream {
  return concat(
    commands.map((command, index) => {
      if (operators[index - 1] !== '||') return runNode(command, walk)
      return runBranch(walk, branch => runNode(command, branch))
    }),
  )
}

function runPipeline({ commands }: Pipeline, walk: Walk): Stream {
  return commands.reduce<Stream>((stdin, command, index) => {
    const next = commands[index + 1]
    const pipesInto = next ? nameOf(next) : walk.pipesInto
    const own = commands.length === 1 ? walk.state : fork(walk.state)
    return runCommandNode(command, { ...walk, state: own, stdin, pipesInto })
  }, walk.stdin)
}

function nameOf(node: CommandNode): string {
  return node.type === 'Command' ? (node.name?.value ?? '') : node.type.toLowerCase()
}

/** Something that may or may not run. */
export function runBranch<T>(walk: Walk, run: (branch: Walk) => T): T {
  const branch = { ...walk, state: fork(walk.state) }
  const result = run(branch)
  join(walk.state, branch.state)
  return result
}

const runList = (list: CompoundList, walk: Walk): Stream => runStatements(list.commands, walk)
const perhaps = (list: CompoundList, walk: Walk): Stream => runBranch(walk, branch => runList(list, branch))

// A second turn sees what the first one left behind.
function loop(body: CompoundList, walk: Walk): Stream {
  const first = perhaps(body, walk)
  const changes = walk.scope.depth < 3 && JSON.stringify(body).includes('"Assignment"')
  return changes ? concat([first, perhaps(body, walk)]) : first
}

export function runCommandNode(node: CommandNode | CompoundList, outer: Walk): Stream {
  const walk = { ...outer, scope: { ...outer.scope, depth: outer.scope.depth + 1 } }
  if (!walk.session.budget.spend(walk.scope.depth)) return somewhere
  switch (node.type) {
    case 'Command':
      return runCommand(node, outer)
    case 'CompoundList':
      return runList(node, walk)
    case 'BraceGroup':
      return runList(node.body, walk)
    case 'Subshell':
      return runList(node.body, { ...walk, state: fork(walk.state) })
    case 'Redirected': {
      const { stdin } = applyRedirects(node.redirects, node.command.type.toLowerCase(), walk)
      return runCommandNode(node.command, stdin ? { ...walk, stdin } : walk)
    }
    case 'Function':
      walk.state.functions.set(node.name.value, node.body)
      return silence
    case 'If': {
      const conditions = [node, ...node.elif]
      const clauses = conditions.map(({ clause, then }) => concat([runList(clause, walk), perhaps(then, walk)]))
      return concat([...clauses, node.else ? perhaps(node.else, walk) : silence])
    }
    case 'For':
    case 'Select': {
      const values = node.wordlist?.flatMap(word => expandWord(word, expanderFor(walk)).flat()) ?? [mark.unknown]
      walk.state.vars.set(node.name.value, unite(values.length > 0 ? values : ['']))
      return loop(node.body, walk)
    }
    case 'ArithmeticFor':
      return loop(node.body, walk)
    case 'While':
      return concat([runList(node.clause, walk), loop(node.body, walk)])
    case 'Case':
      expandWord(node.word, expanderFor(walk))
      return concat(node.items.map(({ body }) => perhaps(body, walk)))
    case 'Coproc':
      return runCommandNode(node.body, { ...walk, state: fork(walk.state) })
    case 'TestCommand':
    case 'ArithmeticCommand':
      visitWords(node, walk)
      return silence
  }
}

// `[[ … ]]` and `((…))` decide nothing here, but `$(…)` in them runs.
function visitWords(node: object, walk: Walk): void {
  if (!walk.session.budget.spend(walk.scope.depth)) return
  if ('type' in node && node.type === 'Word') {
    expandWord(node as Parameters<typeof expandWord>[0], expanderFor(walk))
    return
  }
  for (const child of Object.values(node)) if (typeof child === 'object' && child !== null) visitWords(child, walk)
}
