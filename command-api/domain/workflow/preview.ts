import type { FailureClass } from '../../../schemas/failure.ts'
import type { RenderedStep } from '../../../schemas/steps/index.ts'
import type { Reference } from './references.ts'
import { renderUnit } from './render.ts'
import { roundNames } from './scope.ts'
import { isSelected, isWanted, knownNames, type SegmentInput, secretParameters } from './segment.ts'
import { TemplateError } from './template-error.ts'
import { fieldsOf, referencesOfCondition, referencesOfField } from './templates-of.ts'
import { isGate, type Unit, unitsOf } from './units.ts'

/** What can be told of a step before anything of the run was done. */
export type Preview = { unit: Unit } & (
  | { kind: 'rendered'; step: RenderedStep; ifWaitsFor: readonly string[] }
  /** `elsewhere`: it may well be done on another target. */
  | { kind: 'skipped'; why: 'condition' | 'not-selected'; elsewhere: boolean }
  /** Its text needs the results of these steps, or is about the failure that it handles. */
  | { kind: 'unknown'; waitsFor: readonly string[] }
  | { kind: 'gate' }
  | { kind: 'impossible'; class: FailureClass; detail: string }
)
export type PreviewInput = Pick<SegmentInput, 'version' | 'parameters' | 'run' | 'target'>

/**
 * Everything that may be done on a target, or what of it is asked for by id: the plan, what undoes it, what is done
 * after a failure.
 */
export function previews(input: PreviewInput, only?: ReadonlySet<string>): Preview[] {
  const units = unitsOf(input.version, input.parameters)
  const names = { values: knownNames(input, units), secrets: secretParameters(input.version) }
  const wanted = [...units.byId.values()].filter(({ id }) => only === undefined || only.has(id))
  return wanted.map(unit => {
    try {
      return { unit, ...lookAhead(unit, input, { ...names, values: { ...names.values, ...roundNames(unit) } }) }
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error
      return { unit, kind: 'impossible', class: error.class, detail: error.detail }
    }
  })
}

type Told<P = Preview> = P extends { unit: Unit } ? Omit<P, 'unit'> : never
type Names = Parameters<typeof renderUnit>[1]

function lookAhead(unit: Unit, { target }: PreviewInput, names: Names): Told {
  const { step, action } = unit
  if (isGate(step)) return { kind: 'gate' }
  // What is never done is never undone.
  const asked = { ...unit, phase: 'main' } as const
  if (!isSelected(asked, target)) return { kind: 'skipped', why: 'not-selected', elsewhere: true }
  const asksFor = referencesOfCondition(step)
  const ifWaitsFor = waitsFor(asksFor)
  if (ifWaitsFor.length === 0 && !isWanted(asked, names.values)) {
    return { kind: 'skipped', why: 'condition', elsewhere: asksFor.some(({ root }) => root === 'target') }
  }
  const later = waitsFor(fieldsOf(action).flatMap(referencesOfField))
  if (later.length > 0) return { kind: 'unknown', waitsFor: later }
  return { kind: 'rendered', step: renderUnit(unit, names), ifWaitsFor }
}

/** Steps by their ids; `failure` for what is only known once something has failed. */
function waitsFor(references: readonly Reference[]): string[] {
  const later = references.flatMap(({ root, path: [step] }) => {
    if (root === 'failure') return ['failure']
    return (root === 'steps' || root === 'all') && step !== undefined ? [step] : []
  })
  return [...new Set(later)]
}
