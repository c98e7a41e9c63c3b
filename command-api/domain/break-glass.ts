import { DateTime } from 'luxon'
import type { PrincipalRef } from '../../schemas/access.ts'
import type { BreakGlassCommand, BreakGlassEvent } from '../../schemas/break-glass.ts'
import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'

type Activated = Extract<BreakGlassEvent, { type: 'BreakGlassActivated' }>['data']
export type BreakGlass = { status: 'absent' } | { status: 'active' | 'ended' | 'reviewed'; activated: Activated }
type Known = Exclude<BreakGlass, { status: 'absent' }>
/** Who asks: the person themself, also where they use a key; undefined for what nobody can be told of. */
export type BreakGlassFacts = { who: PrincipalRef | undefined } | undefined
type Command = Identified<BreakGlassCommand, 'breakGlassId'>
type DataOf<T extends Command['type']> = Extract<Command, { type: T }>['data']

export const breakGlass: Decider<BreakGlass, Command, BreakGlassEvent, BreakGlassFacts> = {
  category: 'breakglass',
  streamOf: data => streams.breakGlass(data.breakGlassId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state, meta, facts) {
    if (command.type === 'activate-break-glass')
      return state.status === 'absent' ? activate(command.data, meta, facts) : again(command.data, state)
    const { breakGlassId } = command.data
    if (state.status === 'absent') throw new DomainError('break-glass-not-found', `no ${breakGlassId}`)
    switch (command.type) {
      case 'end-break-glass':
        return state.status === 'active' ? [end(state, meta, command.data.reason)] : []
      case 'expire-break-glass':
        return state.status === 'active' && isOver(state, meta) ? [end(state, meta)] : []
      case 'review-break-glass':
        return review(command.data, state, meta, facts)
    }
  },
}

function activate(data: DataOf<'activate-break-glass'>, { at }: Meta, facts: BreakGlassFacts): BreakGlassEvent[] {
  const principal = facts?.who
  if (principal?.kind !== 'user')
    throw new DomainError('break-glass-not-possible', 'it is for people who have signed in themselves')
  const until = DateTime.fromISO(at, { zone: 'utc' }).plus({ minutes: data.minutes }).toISO() ?? at
  return [{ type: 'BreakGlassActivated', data: { ...data, principal, until } }]
}

function again(data: DataOf<'activate-break-glass'>, { activated }: Known): BreakGlassEvent[] {
  const same = (['reason', 'ticket', 'minutes'] as const).every(field => data[field] === activated[field])
  if (same) return []
  throw new DomainError('break-glass-already-exists', `there is already ${data.breakGlassId}`)
}

const isOver = ({ activated }: Known, { at }: Meta): boolean => Date.parse(activated.until) <= Date.parse(at)

/** Said by whom and when it does not matter: if its time was over then, the clock had ended it. */
function end(state: Known, meta: Meta, reason?: string): BreakGlassEvent {
  const { breakGlassId } = state.activated
  if (isOver(state, meta)) return { type: 'BreakGlassEnded', data: { breakGlassId, why: 'expired' } }
  return { type: 'BreakGlassEnded', data: { breakGlassId, why: 'ended', ...(reason !== undefined && { reason }) } }
}

function review(
  data: DataOf<'review-break-glass'>,
  state: Known,
  meta: Meta,
  facts: BreakGlassFacts,
): BreakGlassEvent[] {
  const { principal, breakGlassId } = state.activated
  if (state.status === 'reviewed') throw new DomainError('break-glass-reviewed', `${breakGlassId} was reviewed`)
  if (state.status === 'active' && !isOver(state, meta))
    throw new DomainError('break-glass-not-over', `${breakGlassId} goes on until ${state.activated.until}`)
  if (facts?.who?.kind === principal.kind && facts.who.id === principal.id)
    throw new DomainError('break-glass-self-review', 'what somebody did is reviewed by somebody else')
  const ended = state.status === 'active' ? [end(state, meta)] : []
  return [...ended, { type: 'BreakGlassReviewed', data }]
}

function evolve(state: BreakGlass, event: BreakGlassEvent): BreakGlass {
  if (event.type === 'BreakGlassActivated') return { status: 'active', activated: event.data }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'BreakGlassEnded':
      return { ...state, status: 'ended' }
    case 'BreakGlassReviewed':
      return { ...state, status: 'reviewed' }
  }
}
