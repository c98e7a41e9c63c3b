import { compile, type Expression, evaluate } from './expression.ts'
import { remembered } from './remembered.ts'
import { TemplateError } from './template-error.ts'
import { plainText, typeName, type ValueMap } from './value.ts'

/** A piece of a template: text as it stands, or `${{ expression }}`; `at` is where in the template it begins. */
export type Part = { text: string; at: number } | { source: string; at: number }

const OPEN = '${{'

/** Takes a template apart. @throws TemplateError for a placeholder that does not end. */
export function partsOf(template: string): Part[] {
  const parts: Part[] = []
  let from = 0
  for (let at = template.indexOf(OPEN); at >= 0; at = template.indexOf(OPEN, from)) {
    if (at > from) parts.push({ text: template.slice(from, at), at: from })
    const end = endOf(template, at + OPEN.length)
    if (end === undefined) throw new TemplateError(`an expression without its }}, at "${template.slice(at, at + 30)}"`)
    parts.push({ source: template.slice(at + OPEN.length, end).trim(), at })
    from = end + 2
  }
  if (from < template.length) parts.push({ text: template.slice(from), at: from })
  return parts
}

/** The `}}` that closes a placeholder: not one in a string of the expression nor one that closes a map. */
function endOf(template: string, from: number): number | undefined {
  let depth = 0
  let at = from
  while (at < template.length) {
    const c = template[at]
    if (c === '"' || c === "'") at = afterString(template, at)
    else if (c === '{') {
      depth += 1
      at += 1
    } else if (c === '}') {
      if (depth === 0) return template[at + 1] === '}' ? at : undefined
      depth -= 1
      at += 1
    } else at += 1
  }
  return undefined
}

function afterString(template: string, from: number): number {
  const quote = template[from] ?? ''
  const triple = quote.repeat(3)
  const close = template.startsWith(triple, from) ? triple : quote
  let at = from + close.length
  while (at < template.length && !template.startsWith(close, at)) at += template[at] === '\\' ? 2 : 1
  return at + close.length
}

/** A template that was read: text and expressions in turn. */
export type Template = ReadonlyArray<string | Expression>
type Compiled = { template: Template } | { problem: string }

const compiled = remembered<Compiled>(500, text => {
  try {
    return { template: partsOf(text).map(part => ('text' in part ? part.text : compile(part.source))) }
  } catch (error) {
    if (error instanceof TemplateError) return { problem: error.detail }
    throw error
  }
})

/** @throws TemplateError for what cannot be read. */
export function compileTemplate(text: string): Template {
  const answer = compiled(text)
  if ('problem' in answer) throw new TemplateError(answer.problem)
  return answer.template
}

/** The template with values in the place of expressions. @throws TemplateError */
export function renderText(text: string, names: ValueMap): string {
  if (!text.includes(OPEN)) return text
  return compileTemplate(text)
    .map(part => (typeof part === 'string' ? part : textOf(part, names)))
    .join('')
}

/** The value of an expression where text is needed. @throws TemplateError for lists, maps and null. */
export function textOf(expression: Expression, names: ValueMap): string {
  const value = evaluate(expression, names)
  const text = plainText(value)
  if (text === undefined)
    throw new TemplateError(`${expression.source} is a ${typeName(value)}: say how it becomes text, as join(" ") does`)
  if (text.includes('\0')) throw new TemplateError(`${expression.source} has a NUL character in it`)
  return text
}
