import { type ASTNode, Environment, ParseError } from '@marcbachmann/cel-js'
import { evaluateAst } from './evaluate.ts'
import { ownSignatures } from './functions.ts'
import { type Reference, referencesOf } from './references.ts'
import { remembered } from './remembered.ts'
import { TemplateError } from './template-error.ts'
import type { Value, ValueMap } from './value.ts'

/** A CEL expression that was read, and what it refers to. */
export type Expression = { source: string; ast: ASTNode; references: readonly Reference[] }
type Compiled = { expression: Expression } | { problem: string }

/** The parser and type checker of the library, with the functions there are here beside CEL's own. */
export const environment = new Environment({
  unlistedVariablesAreDyn: true,
  homogeneousAggregateLiterals: false,
  limits: { maxAstNodes: 1_000, maxDepth: 60, maxListElements: 200, maxMapEntries: 100, maxCallArguments: 8 },
})
for (const signature of ownSignatures) environment.registerFunction(signature, () => undefined)

const compiled = remembered<Compiled>(2_000, source => {
  try {
    const { ast } = environment.parse(source)
    const { references, problems } = referencesOf(ast)
    const [problem] = problems
    return problem === undefined ? { expression: { source, ast, references } } : { problem }
  } catch (error) {
    if (error instanceof ParseError) return { problem: readable(error, source) }
    throw error
  }
})

function readable({ summary, range }: ParseError, source: string): string {
  const near = range && source.slice(range.start, range.start + 20)
  return near ? `${summary}, at "${near}"` : summary
}

/** Reads an expression. @throws TemplateError when it is not one. */
export function compile(source: string): Expression {
  const answer = compiled(source)
  if ('problem' in answer) throw new TemplateError(answer.problem)
  return answer.expression
}

/** @throws TemplateError when it has no value, or finding it takes too much work. */
export function evaluate(expression: Expression, names: ValueMap): Value {
  try {
    return evaluateAst(expression.ast, names)
  } catch (error) {
    if (error instanceof TemplateError) throw new TemplateError(`${error.detail}, in ${shortened(expression.source)}`)
    throw error
  }
}

const shortened = (source: string) => (source.length > 120 ? `${source.slice(0, 120)}…` : source)
