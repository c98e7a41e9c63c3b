import { JOB_GATE } from '../../../schemas/approval.ts'
import type { Definition } from '../../../schemas/job.ts'
import type { Step } from '../../../schemas/steps/index.ts'
import { DomainError } from '../decider.ts'
import { cycleIn, inOrder } from './order.ts'
import { type Complaint, summary } from './parameters.ts'
import { referencesOfCondition } from './templates-of.ts'
import { isGate } from './units.ts'
import { conditionProblems, loopType, textProblems } from './validate-expressions.ts'
import { parameterProblems } from './validate-parameters.ts'
import { meant } from './validate-references.ts'
import { stepProblems } from './validate-step.ts'
import type { Root, Visible } from './visible.ts'

/**
 * Everything that keeps a definition from being a workflow that can be run, as paths into it and messages for its
 * author. `jobId`: of the job it is for, if that is known.
 */
export function validateWorkflow(definition: Definition, jobId?: string): Complaint[] {
  const { steps, onFailure = [], parameters = {} } = definition
  const structure = [
    ...parameterProblems(parameters),
    ...needsProblems(steps, 'steps'),
    ...needsProblems(onFailure, 'onFailure'),
    ...sharedIds(steps, onFailure),
    ...tooManyRounds([...steps, ...onFailure]),
  ]
  // Expressions are looked at in the order of steps, which has to exist.
  if (structure.some(({ path }) => !path.startsWith('parameters.'))) return structure
  const expressions = [...phaseProblems(definition, 'steps', jobId), ...phaseProblems(definition, 'onFailure', jobId)]
  return [...structure, ...expressions, ...gateName(definition)]
}

/** @throws DomainError invalid-workflow */
export function refuseInvalidWorkflow(definition: Definition, jobId: string): void {
  const errors = validateWorkflow(definition, jobId)
  if (errors.length > 0) throw new DomainError('invalid-workflow', summary(errors), errors.slice(0, 100))
}

/** The gate of the whole run goes by a name of its own. */
function gateName({ approval, steps }: Definition): Complaint[] {
  const i = approval ? steps.findIndex(({ id }) => id === JOB_GATE) : -1
  return i === -1 ? [] : [{ path: `steps.${i}.id`, message: `${JOB_GATE} is the approval of the job itself` }]
}

function needsProblems(steps: readonly Step[], list: string): Complaint[] {
  const ids = steps.map(({ id }) => id)
  const unknown = steps.flatMap((step, i) =>
    (step.needs ?? [])
      .filter(need => !ids.includes(need))
      .map(need => ({ path: `${list}.${i}.needs`, message: `there is no step ${need}${meant(need, ids)}` })),
  )
  const cycle = cycleIn(steps)
  if (!cycle) return unknown
  const at = ids.indexOf(cycle[0] ?? '')
  return [
    ...unknown,
    { path: `${list}.${at}.needs`, message: `steps need each other in a circle: ${cycle.join(' → ')}` },
  ]
}

function sharedIds(steps: readonly Step[], handlers: readonly Step[]): Complaint[] {
  const ids = new Set(steps.map(({ id }) => id))
  return handlers.flatMap(({ id }, i) =>
    ids.has(id) ? [{ path: `onFailure.${i}.id`, message: `there is a step ${id} already` }] : [],
  )
}

function tooManyRounds(steps: readonly Step[]): Complaint[] {
  const rounds = steps.reduce((sum, { forEach }) => sum + (Array.isArray(forEach) ? forEach.length : 1), 0)
  return rounds > 500 ? [{ path: 'steps', message: `a run would have ${rounds} steps; 500 are the most` }] : []
}

function* phaseProblems(definition: Definition, list: 'steps' | 'onFailure', jobId?: string): Generator<Complaint> {
  const isHandler = list === 'onFailure'
  const listed = definition[list] ?? []
  const visible = isHandler ? new Map(definition.steps.map(step => [step.id, step])) : new Map<string, Step>()
  const everyStep = new Set([...definition.steps, ...(isHandler ? listed : [])].map(({ id }) => id))
  for (const step of inOrder(listed)) {
    const path = `${list}.${listed.indexOf(step)}`
    yield* stepProblems(step, { path, jobId, isHandler })
    yield* expressionProblems(step, path, seenBy(step, { definition, isHandler, steps: new Map(visible), everyStep }))
    visible.set(step.id, step)
  }
}

type Around = { definition: Definition; isHandler: boolean; steps: Map<string, Step>; everyStep: Set<string> }

function seenBy(step: Step, { definition, isHandler, steps, everyStep }: Around): Visible {
  const seen: Root[] = isGate(step) ? ['params', 'run'] : ['params', 'run', 'target', 'steps']
  if (!isGate(step) && !isHandler) seen.push('all')
  if (step.forEach !== undefined) seen.push('item', 'index')
  if (isHandler) seen.push('failure')
  const because = isGate(step)
    ? `${step.uses} is done once for the run, which sees params and run only`
    : 'other targets need not have come as far'
  const sure = new Set(referencesOfCondition(step).flatMap(r => (r.root === 'params' && r.optional ? r.path : [])))
  return { params: definition.parameters ?? {}, steps, everyStep, roots: new Set(seen), sure, because }
}

function* expressionProblems(step: Step, path: string, visible: Visible): Generator<Complaint> {
  const item = yield* loopProblems(step, path, visible)
  const seen = { ...visible, item }
  yield* conditionProblems(step, path, seen)
  yield* textProblems(step, path, seen)
  if (!('undo' in step) || !step.undo) return
  const steps = new Map([...visible.steps, [step.id, step]])
  const roots = new Set([...visible.roots].filter(root => root !== 'all'))
  yield* textProblems(step.undo, `${path}.undo`, { ...seen, steps, roots })
}

/** Answers the type of the elements. */
function* loopProblems({ forEach }: Step, path: string, visible: Visible): Generator<Complaint, string | undefined> {
  if (forEach === undefined) return undefined
  const at = (message: string) => ({ path: `${path}.forEach`, message })
  if (Array.isArray(forEach)) {
    if (forEach.some(item => typeof item === 'string' && item.includes('${{')))
      yield at('elements are taken as they are: write the whole list as one expression')
    const types = new Set(forEach.map(item => typeof item))
    return types.size === 1 && types.has('string') ? 'string' : 'dyn'
  }
  const because = 'how often a step is done is settled when the run is triggered, from params only'
  const found = loopType(forEach, { ...visible, roots: new Set<Root>(['params']), because })
  if ('item' in found) return found.item
  yield at(found.problem)
  return 'dyn'
}
