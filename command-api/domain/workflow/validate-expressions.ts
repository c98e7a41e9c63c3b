import type { Action, Step } from '../../../schemas/steps/index.ts'
import { compile, type Expression } from './expression.ts'
import type { Complaint } from './parameters.ts'
import { compileShell } from './shell.ts'
import { compileTemplate } from './template.ts'
import { placeholder, TemplateError } from './template-error.ts'
import { type Field, fieldsOf } from './templates-of.ts'
import { typeOf } from './types.ts'
import { neverTrue } from './validate-conditions.ts'
import { referenceProblems } from './validate-references.ts'
import type { Visible } from './visible.ts'

type Found = Generator<Complaint>

/** Everything that is wrong with the texts of an action. */
export function* textProblems(action: Action | Step, path: string, visible: Visible): Found {
  for (const field of fieldsOf(action)) yield* fieldProblems(field, `${path}.${field.path}`, action, visible)
}

function* fieldProblems(field: Field, path: string, action: Action | Step, visible: Visible): Found {
  if (!field.text.includes('${{')) return
  if (field.kind === 'script') {
    yield { path, message: 'values reach a script as arguments: write "$1" in it and the expression in arguments' }
    return
  }
  const expressions = read(() => expressionsIn(field))
  if (typeof expressions === 'string') yield { path, message: expressions }
  else for (const expression of expressions) yield* problemsIn(expression, { field, path, action, visible })
}

/** Undefined names and the like come out as text: what to tell the author. */
function read<T>(work: () => T): T | string {
  try {
    return work()
  } catch (error) {
    if (error instanceof TemplateError) return error.detail
    throw error
  }
}

function expressionsIn({ kind, text }: Field): Expression[] {
  if (kind === 'shell') return compileShell(text).variables.map(({ expression }) => expression)
  return compileTemplate(text).filter(part => typeof part !== 'string')
}

type Place = { field: Field; path: string; action: Action | Step; visible: Visible }

function* problemsIn(expression: Expression, { field, path, action, visible }: Place): Found {
  const at = (message: string) => ({ path, message: `${message}, in ${placeholder(expression.source)}` })
  const wrong = referenceProblems(expression.references, visible)
  yield* wrong.map(at)
  const secret = secretIn(expression, visible)
  if (secret !== undefined && !mayHold(field, action)) yield at(secretProblem(secret, action, field))
  if (secret === undefined && field.kind === 'certificate' && wrong.length === 0)
    yield at('a client certificate is a parameter of the type secret')
  if (wrong.length > 0) return
  const checked = typeOf(expression, visible)
  if ('problem' in checked) yield at(checked.problem)
  // A job that is triggered may be handed a list as it is.
  else if (!isText(checked.type) && action.uses !== 'job.run')
    yield at(`${article(checked.type)} where text is needed: say how, as .join(" ") or json() do`)
}

const isText = (type: string) => ['string', 'int', 'double', 'bool', 'dyn'].includes(type)
const article = (type: string) => (/^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`)

function secretIn({ references }: Expression, { params }: Visible): string | undefined {
  const used = references.find(({ root, path: [name], optional }) => {
    return root === 'params' && name !== undefined && !optional && params[name]?.type === 'secret'
  })
  return used?.path[0]
}

/** What is one expression, and that just a name; a parameter of a job gets the reference. */
const mayHold = ({ kind, text }: Field, { uses }: Action | Step) =>
  (kind === 'stdin' || kind === 'certificate' || uses === 'job.run') && /^\$\{\{\s*params\.\w+\s*\}\}$/.test(text)

function secretProblem(name: string, { uses }: Action | Step, { kind }: Field): string {
  if (kind === 'stdin') return `the secret ${name} has to be all of stdin`
  if (uses === 'job.run') return `the secret ${name} can only be handed on as it is, by itself`
  if (uses === 'http.request') return `a request gets a secret as its clientCertificate only: ${name} is one`
  return `the secret ${name} would be seen here: a secret goes to the stdin of an ssh.command only`
}

/** What is wrong with the condition of a step, one that never holds included. */
export function* conditionProblems(step: Step, path: string, visible: Visible): Found {
  if (step.if === undefined) return
  const { if: source } = step
  const at = (message: string) => ({ path: `${path}.if`, message })
  const expression = read(() => compile(source))
  if (typeof expression === 'string') {
    yield at(source.includes('${{') ? 'write the expression alone, without ${{ }}' : expression)
    return
  }
  const wrong = referenceProblems(expression.references, visible)
  const secret = secretIn(expression, visible)
  if (secret !== undefined) wrong.push(`the secret ${secret} cannot be compared: ask has(params.${secret})`)
  yield* wrong.map(at)
  if (wrong.length > 0) return
  const checked = typeOf(expression, visible)
  if ('problem' in checked) yield at(checked.problem)
  else if (checked.type !== 'bool' && checked.type !== 'dyn')
    yield at(`${article(checked.type)} where true or false is needed`)
  else yield* neverTrue(expression, visible).map(at)
}

/** The type of what a loop goes over, or what is wrong with it. */
export function loopType(source: string, visible: Visible): { item: string } | { problem: string } {
  const expression = read(() => compile(source))
  if (typeof expression === 'string')
    return { problem: source.includes('${{') ? 'write the expression alone, without ${{ }}' : expression }
  const [wrong] = referenceProblems(expression.references, visible)
  if (wrong !== undefined) return { problem: wrong }
  const secret = secretIn(expression, visible)
  if (secret !== undefined) return { problem: `the secret ${secret} is not for loops` }
  const checked = typeOf(expression, visible)
  if ('problem' in checked) return checked
  const item = /^list(?:<(.*)>)?$/.exec(checked.type)
  if (item) return { item: item[1] ?? 'dyn' }
  if (checked.type === 'dyn') return { item: 'dyn' }
  return { problem: `${article(checked.type)} where a list is needed` }
}
