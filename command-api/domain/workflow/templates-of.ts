import type { Action, Step } from '../../../schemas/steps/index.ts'
import { compile } from './expression.ts'
import type { Reference } from './references.ts'
import { compileShell } from './shell.ts'
import { compileTemplate } from './template.ts'
import { TemplateError } from './template-error.ts'

/** A place in a step where expressions may stand, or, in a script, may not. */
export type Field = { path: string; kind: 'text' | 'shell' | 'script' | 'stdin' | 'certificate'; text: string }
type Visit = (field: Field) => string

/** The step's action with every such text replaced by what `visit` makes of it. */
export function mapTemplates<A extends Action | Step>(action: A, visit: Visit): A {
  const given = mapped(action, visit)
  // Only texts were replaced by texts: the shape is that of the action that came in.
  return { ...action, ...(given && { with: given }) } as A
}

function mapped(action: Action | Step, visit: Visit): object | undefined {
  const text = (path: string, value: string) => visit({ path: `with.${path}`, kind: 'text', text: value })
  switch (action.uses) {
    case 'ssh.command': {
      const { command, stdin } = action.with
      return {
        ...action.with,
        command: visit({ path: 'with.command', kind: 'shell', text: command }),
        ...(stdin !== undefined && { stdin: visit({ path: 'with.stdin', kind: 'stdin', text: stdin }) }),
      }
    }
    case 'ssh.script':
      return {
        ...action.with,
        script: visit({ path: 'with.script', kind: 'script', text: action.with.script }),
        arguments: action.with.arguments.map((value, i) => text(`arguments.${i}`, value)),
      }
    case 'file.put': {
      const { path, content, artifact } = action.with
      return {
        ...action.with,
        path: text('path', path),
        ...(content !== undefined && { content: text('content', content) }),
        ...(artifact !== undefined && { artifact: text('artifact', artifact) }),
      }
    }
    case 'file.get':
      return { ...action.with, path: text('path', action.with.path) }
    case 'http.request': {
      const { url, headers, body, clientCertificate: who } = action.with
      const certificate = { path: 'with.clientCertificate', kind: 'certificate' } as const
      const entries = headers && Object.entries(headers).map(([name, value]) => [name, text(`headers.${name}`, value)])
      return {
        ...action.with,
        url: text('url', url),
        ...(entries && { headers: Object.fromEntries(entries) }),
        ...(body !== undefined && { body: text('body', body) }),
        ...(who !== undefined && { clientCertificate: visit({ ...certificate, text: who }) }),
      }
    }
    case 'wait.until':
      return { ...action.with, probe: mappedProbe(action.with.probe, visit) }
    case 'approval':
      return { ...action.with, prompt: text('prompt', action.with.prompt) }
    case 'job.run': {
      const entries = Object.entries(action.with.parameters ?? {}).map(([name, value]) => [
        name,
        typeof value === 'string' ? text(`parameters.${name}`, value) : value,
      ])
      return { ...action.with, ...(action.with.parameters && { parameters: Object.fromEntries(entries) }) }
    }
    case 'wait.time':
    case 'noop':
      return undefined
  }
}

type Probe = Extract<Action, { uses: 'wait.until' }>['with']['probe']
function mappedProbe(probe: Probe, visit: Visit): Probe {
  switch (probe.kind) {
    case 'command':
      return { ...probe, command: visit({ path: 'with.probe.command', kind: 'shell', text: probe.command }) }
    case 'http':
      return { ...probe, url: visit({ path: 'with.probe.url', kind: 'text', text: probe.url }) }
    case 'tcp':
      return probe
  }
}

/** The places of an action (or of a step's own action, then with its check) where expressions may stand. */
export function fieldsOf(action: Action | Step): Field[] {
  const fields: Field[] = []
  mapTemplates(action, field => {
    fields.push(field)
    return field.text
  })
  if ('check' in action && action.check !== undefined) fields.push({ path: 'check', kind: 'shell', text: action.check })
  return fields
}

/** What the expressions of a field refer to. @throws TemplateError */
export function referencesOfField({ kind, text }: Field): readonly Reference[] {
  if (!text.includes('${{')) return []
  if (kind === 'shell') return compileShell(text).variables.flatMap(({ expression }) => expression.references)
  return compileTemplate(text).flatMap(part => (typeof part === 'string' ? [] : part.references))
}

const known = new WeakMap<object, readonly Reference[]>()

/** What all expressions of an action refer to, `if` included; those that cannot be read refer to nothing. */
export function referencesIn(action: Action | Step): readonly Reference[] {
  const found = known.get(action)
  if (found) return found
  const texts = fieldsOf(action).flatMap(field => orNone(() => referencesOfField(field)))
  const made = 'if' in action ? [...referencesOfCondition(action), ...texts] : texts
  known.set(action, made)
  return made
}

export function referencesOfCondition({ if: condition }: Pick<Step, 'if'>): readonly Reference[] {
  return condition === undefined ? [] : orNone(() => compile(condition).references)
}

function orNone(read: () => readonly Reference[]): readonly Reference[] {
  try {
    return read()
  } catch (error) {
    if (error instanceof TemplateError) return []
    throw error
  }
}
