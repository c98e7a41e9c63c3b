import { nearest } from '../../../schemas/nearest.ts'
import type { Reference } from './references.ts'
import { isGate } from './units.ts'
import { members, outputTypes, type Root, roots, type Visible } from './visible.ts'

/** What is wrong with what an expression refers to, in words for its author. */
export function referenceProblems(references: readonly Reference[], visible: Visible): string[] {
  const asked = new Set(references.flatMap(({ root, path, optional }) => (root === 'params' && optional ? path : [])))
  const sure = new Set([...visible.sure, ...asked])
  const problems = references.map(reference => problemOf(reference, { ...visible, sure }))
  return [...new Set(problems.filter(problem => problem !== undefined))]
}

const isRoot = (name: string): name is Root => (roots as readonly string[]).includes(name)

function problemOf(reference: Reference, visible: Visible): string | undefined {
  const { root } = reference
  if (!isRoot(root)) return `there is no ${root}${meant(root, [...visible.roots])}`
  if (!visible.roots.has(root)) return unseen(root, visible)
  switch (root) {
    case 'params':
      return parameterProblem(reference, visible)
    case 'steps':
      return stepProblem(reference, visible)
    case 'all':
      return allProblem(reference, visible)
    case 'run':
    case 'target':
    case 'failure':
      return memberProblem(root, reference)
    case 'item':
    case 'index':
      return undefined
  }
}

function unseen(root: Root, { because }: Visible): string {
  if (root === 'item' || root === 'index') return `${root} is known only in a step with forEach`
  if (root === 'failure') return 'failure is known only in the steps of onFailure'
  return `${root} is not known here: ${because}`
}

export function meant(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  return near === undefined ? '' : `; did you mean ${near}?`
}

function parameterProblem({ path: [name], open }: Reference, { params, sure }: Visible): string | undefined {
  if (name === undefined) return `name the parameter${open ? ' itself' : ''}, as in params.version`
  const spec = Object.hasOwn(params, name) ? params[name] : undefined
  if (!spec) return `there is no parameter ${name}${meant(name, Object.keys(params))}`
  if (spec.required || ('default' in spec && spec.default !== undefined) || sure.has(name)) return undefined
  return `the parameter ${name} may be absent: give it a default, make it required, or ask has(params.${name})`
}

function stepProblem({ path: [id, result, output], open, optional }: Reference, visible: Visible): string | undefined {
  if (id === undefined) return 'name the step, as in steps["install"]'
  const late = stepNotThere(id, visible)
  const step = visible.steps.get(id)
  if (late !== undefined || !step) return late
  if (isGate(step)) return `${id} is done once for the run: it has no result on a target`
  if (result === undefined) return `name the result: steps["${id}"].outcome, .exitCode or .outputs`
  if (result === 'outcome' || result === 'exitCode') return undefined
  if (result !== 'outputs') return `a step has no ${result}${meant(result, ['outcome', 'exitCode', 'outputs'])}`
  if (output === undefined) return open && !optional ? `name the output of ${id} itself` : undefined
  return outputProblem(id, output, Object.keys(outputTypes(step)))
}

function stepNotThere(id: string, { steps, everyStep }: Visible): string | undefined {
  if (steps.has(id)) return undefined
  if (everyStep.has(id)) return `the step ${id} does not come before this one: name it in needs, or move it up`
  return `there is no step ${id}${meant(id, [...everyStep])}`
}

function outputProblem(id: string, output: string, known: readonly string[]): string | undefined {
  if (known.includes(output)) return undefined
  return `the step ${id} declares no output ${output}${meant(output, known)}`
}

function allProblem({ path: [id, result, output] }: Reference, visible: Visible): string | undefined {
  if (id === undefined) return 'name the step, as in all["probe"].outputs.version'
  const late = stepNotThere(id, visible)
  const step = visible.steps.get(id)
  if (late !== undefined || !step) return late
  if (result !== 'outputs' || output === undefined) return `name an output, as in all["${id}"].outputs.version`
  return outputProblem(id, output, Object.keys(outputTypes(step)))
}

function memberProblem(root: keyof typeof members, { path: [name] }: Reference): string | undefined {
  const known = Object.keys(members[root])
  if (name === undefined || known.includes(name)) return undefined
  return `${root} has no ${name}${meant(name, known)}`
}
