import type { Scope } from '../../schemas/access.ts'
import { matchesLabels, parseLabelExpression } from '../../schemas/label-expression.ts'
import { aboutNothing } from '../../schemas/permissions.ts'
import type { HeldScope, Resource } from './types.ts'

type Requirements = NonNullable<ReturnType<typeof parseLabelExpression>>
export const everything: Scope = { kind: 'everything' }

const MOST_PARSED = 10_000
const parsed = new Map<string, Requirements>()

/** Parsed once: a check comes with every command. What does not parse matches nothing. */
function requirementsOf(labels: string): Requirements | undefined {
  const known = parsed.get(labels)
  if (known) return known
  const requirements = parseLabelExpression(labels)
  if (!requirements) return undefined
  if (parsed.size >= MOST_PARSED) parsed.clear()
  parsed.set(labels, requirements)
  return requirements
}

/** Whether the scope holds this one thing. Tags that are not known match nothing. */
export function covers(scope: HeldScope, resource: Resource): boolean {
  switch (scope.kind) {
    case 'everything':
      return true
    case 'labels': {
      if (resource.kind !== 'target' || !resource.tags) return false
      const requirements = requirementsOf(scope.labels)
      return requirements !== undefined && matchesLabels(requirements, resource.tags)
    }
    case 'resource': {
      const { kind, id } = scope.resource
      if (kind === resource.kind && id === resource.id) return true
      return kind === 'job' && id === resource.jobId
    }
    case 'all-of':
      return scope.of.every(each => covers(each, resource))
  }
}

/** What a grant on one thing has to be about for a permission of this kind to mean anything there. */
const about: Readonly<Record<string, readonly string[]>> = {
  run: ['job', 'run'],
  artifact: ['job', 'run'],
  session: ['user'],
  'api-key': ['user', 'service-account', 'api-key'],
}

/** Whether a permission held on this scope permits anything: labels are those of targets, and so on. */
export function appliesTo(permission: string, scope: HeldScope): boolean {
  if (scope.kind === 'everything' || aboutNothing.has(permission)) return true
  if (scope.kind === 'all-of') return scope.of.every(each => appliesTo(permission, each))
  const [kind = ''] = permission.split(':', 1)
  if (kind === 'audit') return true
  if (scope.kind === 'labels') return kind === 'target'
  return (about[kind] ?? [kind]).includes(scope.resource.kind)
}

/** Where both hold. */
export function both(one: HeldScope, other: HeldScope): HeldScope {
  if (one.kind === 'everything') return other
  if (other.kind === 'everything' || isSame(one, other)) return one
  return { kind: 'all-of', of: [one, other] }
}

function isSame(one: HeldScope, other: HeldScope): boolean {
  if (one.kind === 'labels') return other.kind === 'labels' && one.labels === other.labels
  if (one.kind !== 'resource' || other.kind !== 'resource') return false
  return one.resource.kind === other.resource.kind && one.resource.id === other.resource.id
}

/**
 * Whether everything that `inner` holds now or later is held by `outer` too. By what they say, not by what there is:
 * `env=prod,role=web` lies within `env=prod`, one target within no labels.
 */
export function liesWithin(inner: Scope, outer: HeldScope): boolean {
  switch (outer.kind) {
    case 'everything':
      return true
    case 'labels':
      return inner.kind === 'labels' && narrower(inner.labels, outer.labels)
    case 'resource': {
      if (inner.kind !== 'resource') return false
      return inner.resource.kind === outer.resource.kind && inner.resource.id === outer.resource.id
    }
    case 'all-of':
      return outer.of.every(each => liesWithin(inner, each))
  }
}

/** Every requirement of the wider one is among those of the narrower one. */
function narrower(inner: string, outer: string): boolean {
  const text = (labels: string) => (requirementsOf(labels) ?? []).map(each => JSON.stringify(each))
  const given = new Set(text(inner))
  const wanted = text(outer)
  return wanted.length > 0 && wanted.every(requirement => given.has(requirement))
}

/** As people read it: `everything`, `targets env=prod`, `job 0192…`. */
export function scopeText(scope: HeldScope): string {
  switch (scope.kind) {
    case 'everything':
      return 'everything'
    case 'labels':
      return `targets ${scope.labels}`
    case 'resource':
      return `${scope.resource.kind} ${scope.resource.id}`
    case 'all-of':
      return scope.of.map(scopeText).join(' within ')
  }
}
