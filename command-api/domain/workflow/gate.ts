import { type Approvers, JOB_GATE } from '../../../schemas/approval.ts'
import type { JobVersion } from '../../../schemas/job.ts'
import type { ParameterValues } from '../../../schemas/parameters.ts'
import { compile, evaluate } from './expression.ts'
import { type RunScope, runNames } from './scope.ts'
import { compileTemplate, renderText } from './template.ts'
import { TemplateError } from './template-error.ts'
import { unitsOf } from './units.ts'
import { isList, plainText, toJson, typeName, type Value, type ValueMap } from './value.ts'

export type Gate =
  | { kind: 'skip' }
  | { kind: 'approval'; prompt: string; quorum: number; expiresSeconds: number; approvers?: Approvers | undefined }
  | { kind: 'job-run'; jobId: string; version?: number; parameters: ParameterValues; sameTargets: boolean }

/** What is done once for the run at a gate of its plan; `skip` where its `if` is false. @throws TemplateError */
export function gateOf(version: JobVersion, parameters: ParameterValues, run: RunScope, stepId: string): Gate {
  // Asked of people once for the whole run, and not a step of it.
  if (stepId === JOB_GATE && version.approval) return { kind: 'approval', ...version.approval }
  const units = unitsOf(version, parameters)
  const step = units.byId.get(stepId)?.step
  const names: ValueMap = { params: units.parameters, run: runNames(run) }
  if (step?.if !== undefined && !isTrue(evaluate(compile(step.if), names))) return { kind: 'skip' }
  if (step?.uses === 'approval')
    return { kind: 'approval', ...step.with, prompt: renderText(step.with.prompt, names).slice(0, 2_000) }
  if (step?.uses !== 'job.run') throw new TemplateError(`${stepId} is not a gate`)
  const { jobId, version: wanted, sameTargets } = step.with
  const given = Object.entries(step.with.parameters ?? {}).map(([name, value]) => [
    name,
    typeof value === 'string' ? valueFor(value, names) : value,
  ])
  const rest = wanted === undefined ? {} : { version: wanted }
  return { kind: 'job-run', jobId, ...rest, parameters: Object.fromEntries(given), sameTargets }
}

function isTrue(value: Value): boolean {
  if (typeof value === 'boolean') return value
  throw new TemplateError(`if is ${typeName(value)} where true or false is needed`)
}

/** An expression alone keeps its type, so that numbers and lists arrive as such. */
function valueFor(text: string, names: ValueMap): unknown {
  const [only, ...more] = compileTemplate(text)
  if (only === undefined || typeof only === 'string' || more.length > 0) return renderText(text, names)
  const value = evaluate(only, names)
  if (plainText(value) === undefined && !isList(value))
    throw new TemplateError(`${only.source} is a ${typeName(value)}`)
  return toJson(value)
}
