import type { BreakGlassEvent, BreakGlassRow } from '../../schemas/break-glass.ts'
import type { EventMetadata } from '../../schemas/kernel.ts'
import {
  builtInSodRule,
  type SodRuleEvent,
  type SodRuleRow,
  type SodViolationEvent,
  type SodViolationRow,
} from '../../schemas/sod.ts'

/** @throws Error for an event on something whose first event was never seen. */
function known<Row>(before: Row | undefined): Row {
  if (before === undefined) throw new Error('there is nothing this event could change')
  return before
}

/** A rule as its events tell it; a built-in one begins as it is built in. */
export function evolveSodRule(before: SodRuleRow | undefined, event: SodRuleEvent): SodRuleRow {
  if (event.type === 'SodRuleDefined') {
    const { rule, description, mode, conflict, targets } = event.data
    const given = { description: description ?? null, mode, conflict, targets: targets ?? null }
    return { rule, name: rule, ...given, builtIn: false, status: 'active' }
  }
  const row = known(before ?? builtInSodRule(event.data.rule))
  switch (event.type) {
    case 'SodRuleChanged':
      return { ...row, mode: event.data.mode, targets: event.data.targets ?? null }
    case 'SodRuleRetired':
      return { ...row, status: 'retired' }
  }
}

/** What a rule has against a person: the newest of it, and until when that is waived. */
export function evolveSodViolation(before: SodViolationRow | undefined, event: SodViolationEvent): SodViolationRow {
  if (event.type === 'SodViolationDetected') {
    const { violationId, rule, person, mode, outcome, about, detail } = event.data
    const { count = 0, waivedUntil = null, waiveReason = null, status = 'open' } = before ?? {}
    const newest = { mode, outcome, about, detail, count: count + 1 }
    return { violationId, name: rule, rule, person, ...newest, waivedUntil, waiveReason, status }
  }
  const { until, reason } = event.data
  return { ...known(before), waivedUntil: until, waiveReason: reason, status: 'waived' }
}

/** One use of the emergency role; that the clock has ended it shows once that was recorded. */
export function evolveBreakGlass(
  before: BreakGlassRow | undefined,
  event: BreakGlassEvent,
  { at, actor }: Pick<EventMetadata, 'at' | 'actor'>,
): BreakGlassRow {
  if (event.type === 'BreakGlassActivated') {
    const { breakGlassId, principal, reason, ticket, until } = event.data
    const given = { principal, reason, ticket, until }
    return { breakGlassId, name: ticket, ...given, activatedAt: at, endedAt: null, review: null, status: 'active' }
  }
  const row = known(before)
  switch (event.type) {
    case 'BreakGlassEnded':
      return { ...row, endedAt: event.data.why === 'expired' ? row.until : at, status: 'ended' }
    case 'BreakGlassReviewed': {
      const { verdict, reason } = event.data
      return { ...row, review: { verdict, reason, by: `${actor.kind}:${actor.id}`, at }, status: 'reviewed' }
    }
  }
}
