import type { FailureClass } from '../../../schemas/failure.ts'
import type { JobVersion } from '../../../schemas/job.ts'
import { matchesLabels, parseLabelExpression } from '../../../schemas/label-expression.ts'
import type { ParameterValues } from '../../../schemas/parameters.ts'
import type { RenderedStep } from '../../../schemas/steps/index.ts'
import type { StepRule } from '../../../schemas/target-run.ts'
import { compile, evaluate } from './expression.ts'
import { type Names, renderUnit } from './render.ts'
import {
  type Failure,
  type OutputValues,
  type RunScope,
  roundNames,
  runNames,
  type StepResult,
  stepNames,
  stepsAskedFor,
  type TargetScope,
  targetNames,
} from './scope.ts'
import { TemplateError } from './template-error.ts'
import { referencesIn } from './templates-of.ts'
import { type Unit, type Units, unitsOf } from './units.ts'
import { fromJson, typeName, type Value, type ValueMap } from './value.ts'

export type SegmentInput = {
  version: JobVersion
  parameters: ParameterValues
  run: RunScope
  target: TargetScope
  /** What remains, in order: main steps, or those of the compensation. */
  rules: readonly StepRule[]
  ended: Readonly<Record<string, StepResult>>
  /** Outputs of a step over all targets, loops by round; absent while they are not known. */
  all?: ((stepId: string) => OutputValues) | undefined
  failure?: Failure | undefined
  /** Whether the barrier or gate before a step is open. */
  mayBegin(stepId: string): boolean
  now: string
}
export type Segment = {
  skip: Array<{ stepId: string; why: 'condition' | 'not-selected' }>
  /** To be done in one claim, in this order. */
  due: RenderedStep[]
  wait?: { stepId: string; until: string }
  /** The first thing to do cannot be written down. */
  impossible?: { stepId: string; class: FailureClass; detail: string }
  /** Ask again with `all`. */
  needsAll?: true
}

type Work = {
  input: SegmentInput
  units: Units
  ended: Record<string, StepResult>
  base: ValueMap
  secrets: ReadonlySet<string>
  segment: Segment
}

/**
 * What a target does next: the steps that can be rendered now and done without asking again, and those before or
 * among them that are left out. Empty in every part: it has to wait for a barrier or gate, or nothing remains.
 */
export function nextSegment(input: SegmentInput): Segment {
  const segment: Segment = { skip: [], due: [] }
  const work = workOf(input, segment)
  for (const { id } of input.rules) {
    if (Object.hasOwn(work.ended, id)) continue
    if (!input.mayBegin(id) || !takes(id, work)) break
  }
  return segment
}

function workOf(input: SegmentInput, segment: Segment): Work {
  const units = unitsOf(input.version, input.parameters)
  const base = { ...knownNames(input, units), ...(input.failure && { failure: { ...input.failure } }) }
  return { input, units, ended: { ...input.ended }, base, secrets: secretParameters(input.version), segment }
}

/** What expressions see before anything was done. */
export const knownNames = ({ run, target }: Pick<SegmentInput, 'run' | 'target'>, units: Units): ValueMap => ({
  params: units.parameters,
  run: runNames(run),
  target: targetNames(target),
})

export function secretParameters({ parameters = {} }: Pick<JobVersion, 'parameters'>): ReadonlySet<string> {
  return new Set(Object.entries(parameters).flatMap(([name, { type }]) => (type === 'secret' ? [name] : [])))
}

function unitIn({ units }: Work, id: string): Unit {
  const unit = units.byId.get(id)
  if (unit) return unit
  throw new TemplateError(`the job version has no step ${id}`)
}

/** Puts the step where it belongs; false when the segment ends before or with it. */
function takes(id: string, work: Work): boolean {
  const { segment } = work
  try {
    const unit = unitIn(work, id)
    if (!isSelected(unit, work.input.target)) return skips(id, 'not-selected', work)
    if (asksForDue(unit, work)) return false
    if (work.input.all === undefined && asked(unit, 'all').length > 0) {
      if (segment.due.length === 0) segment.needsAll = true
      return false
    }
    const names = namesFor(unit, work)
    if (!isWanted(unit, names.values)) return skips(id, 'condition', work)
    if (unit.action.uses === 'wait.time') return waits(unit, work)
    segment.due.push(renderUnit(unit, names))
    return true
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    if (segment.due.length === 0) segment.impossible = { stepId: id, class: error.class, detail: error.detail }
    return false
  }
}

function skips(stepId: string, why: 'condition' | 'not-selected', { segment, ended }: Work): true {
  segment.skip.push({ stepId, why })
  ended[stepId] = { attempt: 0, outcome: 'skipped' }
  return true
}

/** What undoes a step is not asked again whether the step was wanted. */
export function isSelected({ step, phase }: Unit, target: Pick<TargetScope, 'tags'>): boolean {
  if (phase === 'undo' || !step.on) return true
  const requirements = parseLabelExpression(step.on.labels)
  return requirements !== undefined && matchesLabels(requirements, target.tags)
}

/** @throws TemplateError */
export function isWanted({ step, phase }: Unit, names: ValueMap): boolean {
  if (phase === 'undo' || step.if === undefined) return true
  const value = evaluate(compile(step.if), names)
  if (typeof value === 'boolean') return value
  throw new TemplateError(`if is ${typeName(value)} where true or false is needed`)
}

/** Time passes between segments only. */
function waits({ id, action }: Unit, { input, segment }: Work): false {
  if (segment.due.length > 0 || action.uses !== 'wait.time') return false
  const until =
    'until' in action.with
      ? action.with.until
      : new Date(Date.parse(input.now) + action.with.seconds * 1000).toISOString()
  segment.wait = { stepId: id, until }
  return false
}

/** What undoes a step asks for what its own texts name; a step also for what its `if` does. */
const asked = ({ action }: Unit, root: 'steps' | 'all') => stepsAskedFor(referencesIn(action), root)

const baseId = (unitId: string) => unitId.split('.', 1)[0] ?? unitId

function asksForDue(unit: Unit, { segment }: Work): boolean {
  // What undoes a step leaves no result that anything could ask for.
  const due = new Set(segment.due.flatMap(({ id }) => (id.endsWith('.undo') ? [] : [baseId(id)])))
  return asked(unit, 'steps').some(step => due.has(step))
}

function namesFor(unit: Unit, work: Work): Names {
  const steps = Object.fromEntries(asked(unit, 'steps').map(step => [step, resultOf(step, work)]))
  const all = Object.fromEntries(asked(unit, 'all').map(step => [step, { outputs: aggregate(step, work) }]))
  return { values: { ...work.base, steps, all, ...roundNames(unit) }, secrets: work.secrets }
}

const roundsOf = (step: string, { units }: Work) => [...units.plan, ...units.handlers].filter(u => u.step.id === step)

function resultOf(step: string, work: Work): Value {
  const rounds = roundsOf(step, work)
  const results = rounds.flatMap(({ id }) => (Object.hasOwn(work.ended, id) ? (work.ended[id] ?? []) : []))
  if (results.length === 0) throw new TemplateError(`the step ${step} is not over`)
  return stepNames(
    results,
    rounds.some(({ round }) => round !== undefined),
  )
}

function aggregate(step: string, work: Work): ValueMap {
  const lists: Record<string, Value[]> = {}
  for (const { id } of roundsOf(step, work))
    for (const [name, values] of Object.entries(work.input.all?.(id) ?? {}))
      lists[name] = [...(lists[name] ?? []), ...values.map(fromJson)]
  return lists
}
