import { type Action, type RenderedStep, renderedStep } from '../../../schemas/steps/index.ts'
import { prologue, renderShell } from './shell.ts'
import { compileTemplate, renderText } from './template.ts'
import { TemplateError } from './template-error.ts'
import { mapTemplates } from './templates-of.ts'
import type { Unit } from './units.ts'
import { plainText, type ValueMap } from './value.ts'

export type Names = {
  values: ValueMap
  /** Parameters whose values are ids of credentials rather than what they hold. */
  secrets: ReadonlySet<string>
}

/** A step as an executor gets it. @throws TemplateError */
export function renderUnit(unit: Unit, names: Names): RenderedStep {
  const { step } = unit
  const variables: Record<string, string> = {}
  const secret = secretOf(unit.action, names)
  const action = mapTemplates(ownAction(unit.action, secret !== undefined), ({ kind, text }) => {
    if (kind === 'script') return text
    if (kind !== 'shell') return renderText(text, names.values)
    const rendered = renderShell(text, names.values)
    Object.assign(variables, rendered.variables)
    return rendered.command
  })
  return fitting({
    id: unit.id,
    action,
    ...(Object.keys(variables).length > 0 && { variables }),
    timeoutSeconds: step.timeoutSeconds,
    ...(step.silenceSeconds !== undefined && { silenceSeconds: step.silenceSeconds }),
    continueOnError: unit.phase !== 'main' || step.continueOnError,
    ...(unit.phase !== 'undo' && step.check !== undefined && { check: checkOf(step.check, names) }),
    ...secret,
    ...(unit.phase !== 'undo' && step.outputs && { outputs: step.outputs }),
  })
}

/** What tells whether the step took effect, complete by itself. @throws TemplateError */
function checkOf(check: string, { values }: Names): string {
  const { command, variables } = renderShell(check, values)
  return `${prologue(variables)}${command}`
}

type Secret = Pick<RenderedStep, 'stdinCredentialId' | 'clientCertificateId'>

/** Where one secret stands and nothing else, the id of its credential goes. */
function secretOf(action: Unit['action'], names: Names): Secret | undefined {
  const { stdin } = action.uses === 'ssh.command' ? action.with : { stdin: undefined }
  const stdinCredentialId = secretIn(stdin, names)
  if (stdinCredentialId !== undefined) return { stdinCredentialId }
  const { clientCertificate } = action.uses === 'http.request' ? action.with : { clientCertificate: undefined }
  const clientCertificateId = secretIn(clientCertificate, names)
  return clientCertificateId === undefined ? undefined : { clientCertificateId }
}

function secretIn(text: string | undefined, { values, secrets }: Names): string | undefined {
  if (text === undefined) return undefined
  const [only, ...more] = compileTemplate(text)
  if (only === undefined || typeof only === 'string' || more.length > 0) return undefined
  const [reference] = only.references
  const [name] = reference?.path ?? []
  if (reference?.root !== 'params' || name === undefined || !secrets.has(name)) return undefined
  const id = plainText((values.params as ValueMap)[name] ?? null)
  if (id === undefined) throw new TemplateError(`there is no ${name}`)
  return id
}

/** The action alone of what may be a whole step. */
function ownAction(action: Unit['action'], withoutSecret: boolean): Action {
  const { uses } = action
  if (uses === 'approval' || uses === 'job.run') throw new TemplateError(`${uses} is not done on a target`)
  const { stdin: _, clientCertificate: __, ...rest } = action.with as { stdin?: string; clientCertificate?: string }
  // The two members of every action belong together; picking them apart loses that for the compiler.
  return { uses, with: withoutSecret ? rest : action.with } as Action
}

/** Values may have made of it what its schema does not allow, such as a path that is not absolute. */
function fitting(step: RenderedStep): RenderedStep {
  const { error, data } = renderedStep.safeParse(step)
  const [issue] = error?.issues ?? []
  if (data) return data
  throw new TemplateError(`${issue?.path.slice(1).map(String).join('.')}: ${issue?.message}`)
}
