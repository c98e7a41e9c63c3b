import type { Node, Tree } from 'web-tree-sitter'
import { bounds } from '../bounds.ts'
import { note, type Scope, type Session } from '../facts.ts'
import { mark } from '../text.ts'
import { reportWindowsPaths } from '../windows/report.ts'
import { runCommand } from './command.ts'
import { child, children, core, loadParser } from './grammar.ts'
import { tidySource } from './tidy.ts'
import type { PsRunner, PsWalk } from './types.ts'
import { valueOfNode } from './values.ts'

const run: PsRunner = { node: runNode, value: valueOfNode, text: runText }

export async function judgePowershell(text: string, scope: Scope, session: Session): Promise<void> {
  const parser = await loadParser()
  const fresh = { vars: new Map(), tables: new Map(), functions: new Map(), blocks: new Map(), aliases: new Map() }
  const trees: Tree[] = []
  const start = { calling: [], input: [mark.unknown], pipesInto: null, run }
  try {
    runText(text, { session, scope: { ...scope }, parser, trees, ...fresh, ...start })
  } finally {
    for (const tree of trees) tree.delete()
  }
}

function runText(text: string, walk: PsWalk): string[] {
  const { session, scope, parser } = walk
  const inner = { ...walk, scope: { ...scope, depth: scope.depth + 1 } }
  if (!session.budget.spend(inner.scope.depth)) return [mark.unknown]
  const source = tidySource(text)
  if (source.trim() === '') return []
  const tree = parser.parse(source)
  if (!tree) {
    note(session, 'parse-error', 'cannot be parsed', scope)
    return [mark.unknown]
  }
  walk.trees.push(tree)
  if (tree.rootNode.hasError) note(session, 'parse-error', 'cannot be parsed', scope)
  const output = runNode(tree.rootNode, inner)
  walk.scope.cwd = inner.scope.cwd
  return output
}

function runNode(node: Node, walk: PsWalk): string[] {
  if (!walk.session.budget.spend(walk.scope.depth)) return [mark.unknown]
  switch (node.type) {
    case 'pipeline':
      return runPipeline(node, walk)
    case 'pipeline_chain':
      return runChain(node, walk)
    case 'command':
      return runCommand(node, walk)
    case 'function_statement':
      walk.functions.set((child(node, 'function_name')?.text ?? '').toLowerCase(), node)
      return []
    case 'foreach_statement':
      return runForeach(node, walk)
    case 'assignment_expression':
      return assign(node, walk)
    case 'redirection':
      redirect(node, walk)
      return []
    default:
      if (
        /_expression$|_literal$|^variable$/.test(node.type) &&
        !/^(parenthesized|sub|array|script_block)_expression$/.test(node.type)
      )
        return walk.run.value(node, walk)
      return children(node)
        .flatMap(part => runNode(part, walk))
        .slice(0, bounds.fields)
  }
}

function runPipeline(node: Node, walk: PsWalk): string[] {
  return children(node).flatMap(part => runNode(part, walk))
}

// `a | b | c`: each hands over to the next.
function runChain(node: Node, walk: PsWalk): string[] {
  const stages = children(node).filter(({ type }) => type !== 'redirections')
  return stages.reduce<string[]>((input, stage, index) => {
    const next = stages[index + 1]
    const pipesInto = next ? (child(next, 'command_name')?.text ?? '') : null
    const inner = { ...walk, input: index === 0 ? walk.input : input, pipesInto }
    return stage.type === 'command' ? runCommand(stage, inner) : inner.run.value(stage, inner)
  }, walk.input)
}

function runForeach(node: Node, walk: PsWalk): string[] {
  const [name, list, ...rest] = children(node)
  const values = list ? runNode(list, walk) : []
  walk.vars.set((name?.text ?? '').replace(/^\$/, '').toLowerCase(), values.length > 0 ? values : [mark.unknown])
  return rest.flatMap(part => runNode(part, walk))
}

function assign(node: Node, walk: PsWalk): string[] {
  const [left, , right] = children(node)
  const operator = child(node, 'assignement_operator')?.text
  const target = left ? core(left) : undefined
  const name = (/\$\{?((?:\w+:)*\w+)\}?\s*$/.exec(target?.text ?? '')?.[1] ?? '')
    .toLowerCase()
    .replace(/^(global|script|local|private):/, '')
  const table = right ? core(right) : undefined
  if (table?.type === 'hash_literal_expression' || /^@\{/.test(right?.text ?? ''))
    walk.tables.set(name, right ? entries(right, walk) : [])
  const values = right ? runNode(right, walk) : []
  const before = walk.vars.get(name) ?? []
  if (operator === '+=' && before.length <= 1 && values.length <= 1)
    walk.vars.set(name, [`${before[0] ?? ''}${values[0] ?? ''}`])
  else walk.vars.set(name, (operator === '=' ? values : [...before, ...values]).slice(0, bounds.fields))
  return []
}

function entries(node: Node, walk: PsWalk): [string, string[]][] {
  if (node.type !== 'hash_entry') return children(node).flatMap(part => entries(part, walk))
  const [key, value] = children(node)
  return key && value ? [[key.text.replace(/^["']|["']$/g, '').toLowerCase(), runNode(value, walk)]] : []
}

function redirect(node: Node, walk: PsWalk): void {
  const file = child(node, 'redirected_file_name')
  const operator = child(node, 'file_redirection_operator')?.text ?? ''
  const paths = file
    ? children(file)
        .filter(({ type }) => type !== 'command_argument_sep')
        .flatMap(part => walk.run.value(part, walk))
        .filter(path => path !== '')
    : []
  const { scope, session, pipesInto } = walk
  if (paths.length > 0 && operator.includes('>'))
    reportWindowsPaths(
      { verb: operator, args: [], scope, session, pipesInto },
      operator.includes('>>') ? 'append' : 'overwrite',
      paths,
    )
}
