import type { ASTNode } from '@marcbachmann/cel-js'
import { evaluateAst } from './evaluate.ts'
import type { Expression } from './expression.ts'
import { referencesOf } from './references.ts'
import { TemplateError } from './template-error.ts'
import { meant } from './validate-references.ts'
import type { Visible } from './visible.ts'

const outcomes = ['succeeded', 'failed', 'skipped', 'cancelled']

/** Why a condition can never hold, as far as that can be told without running anything. */
export function neverTrue({ ast, references }: Expression, visible: Visible): string[] {
  if (references.length === 0 && constantValue(ast) === false) return ['the step can never run: this is always false']
  return conjuncts(ast).flatMap(part => impossibleOutcome(part, visible) ?? [])
}

function constantValue(ast: ASTNode): unknown {
  try {
    return evaluateAst(ast, {})
  } catch (error) {
    if (error instanceof TemplateError) return undefined
    throw error
  }
}

const conjuncts = (node: ASTNode): ASTNode[] => (node.op === '&&' ? node.args.flatMap(conjuncts) : [node])

/** `steps.x.outcome == "…"` with an outcome that x cannot have had when this is asked. */
function impossibleOutcome(node: ASTNode, { steps, roots }: Visible): string | undefined {
  if (node.op !== '==') return undefined
  const [left, right] = node.args
  const [asked, literal] = right.op === 'value' ? [left, right.args] : [right, left.op === 'value' ? left.args : null]
  const [reference, ...more] = referencesOf(asked).references
  const [id, result] = reference?.path ?? []
  const step = steps.get(id ?? '')
  const isOutcome = reference?.root === 'steps' && result === 'outcome' && more.length === 0
  if (!step || !isOutcome || typeof literal !== 'string') return undefined
  if (!outcomes.includes(literal))
    return `no outcome is ${literal}: there are ${outcomes.join(', ')}${meant(literal, outcomes)}`
  const goesOn = step.continueOnError || roots.has('failure')
  if (goesOn || literal === 'succeeded' || literal === 'skipped') return undefined
  return `the step can never run: when ${id} has ${literal}, nothing after it is begun unless it has continueOnError`
}
