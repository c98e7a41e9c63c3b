import { compile, type Expression } from './expression.ts'
import { remembered } from './remembered.ts'
import { ShellScanner } from './shell-scanner.ts'
import { partsOf, textOf } from './template.ts'
import { TemplateError } from './template-error.ts'
import type { ValueMap } from './value.ts'

/** A command line in which every expression has become the shell variable that holds its value. */
export type ShellTemplate = { command: string; variables: ReadonlyArray<{ name: string; expression: Expression }> }
type Compiled = { template: ShellTemplate } | { problem: string }

const compiled = remembered<Compiled>(500, text => {
  try {
    return { template: read(text) }
  } catch (error) {
    if (error instanceof TemplateError) return { problem: error.detail }
    throw error
  }
})

/**
 * Reads a command line for POSIX sh. A value never becomes a part of the command: it stands as `"${opsc_1}"`, or as
 * `${opsc_1}` where double quotes are open already, and the shell does not look into what a variable holds.
 * @throws TemplateError where neither would do, such as between single quotes.
 */
export function compileShell(text: string): ShellTemplate {
  const answer = compiled(text)
  if ('problem' in answer) throw new TemplateError(answer.problem)
  return answer.template
}

function read(text: string): ShellTemplate {
  const parts = partsOf(text)
  if (parts.every(part => 'text' in part)) return { command: text, variables: [] }
  const scanner = new ShellScanner()
  const variables: Array<{ name: string; expression: Expression }> = []
  let command = ''
  for (const part of parts) {
    if ('text' in part) {
      scanner.read(part.text)
      command += part.text
    } else {
      const name = `opsc_${variables.length + 1}`
      variables.push({ name, expression: compile(part.source) })
      command += scanner.place(part.source, name)
    }
  }
  scanner.finish()
  return { command, variables }
}

export type RenderedCommand = { command: string; variables: Record<string, string> }

/** Values travel with the command; what is longer belongs into a file. */
const MOST_BYTES = 65_536

/** @throws TemplateError */
export function renderShell(text: string, names: ValueMap): RenderedCommand {
  const { command, variables } = compileShell(text)
  const values = variables.map(({ name, expression }) => [name, textOf(expression, names)] as const)
  const bytes = values.reduce((sum, [, value]) => sum + Buffer.byteLength(value), 0)
  if (bytes > MOST_BYTES)
    throw new TemplateError(`the values in the command are ${bytes} bytes long; 65536 are the most`)
  return { command, variables: Object.fromEntries(values) }
}

/** What the shell reads before the command: every value between single quotes, where nothing has a meaning. */
export function prologue(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}='${value.replaceAll("'", `'\\''`)}'\n`)
    .join('')
}
