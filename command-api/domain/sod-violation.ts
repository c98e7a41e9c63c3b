import { streams } from '../../schemas/events.ts'
import type { SodViolationCommand, SodViolationEvent } from '../../schemas/sod.ts'
import { type Decider, DomainError } from './decider.ts'

export type SodViolation =
  | { status: 'absent' }
  | { status: 'known'; person: string; told: readonly string[]; waivedUntil: string }

/** A person is told of once for each thing and outcome; so many of those are remembered. */
const REMEMBERED = 200

export const sodViolation: Decider<SodViolation, SodViolationCommand, SodViolationEvent, { by: string } | undefined> = {
  category: 'sodviolation',
  streamOf: data => streams.sodViolation(data.violationId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state, { at }, facts) {
    if (command.type === 'report-sod-violation') {
      const told = state.status === 'known' && state.told.includes(telling(command.data))
      return told ? [] : [{ type: 'SodViolationDetected', data: command.data }]
    }
    const { violationId, until } = command.data
    if (state.status === 'absent') throw new DomainError('sod-violation-not-found', `no violation ${violationId}`)
    if (facts?.by === state.person)
      throw new DomainError('sod-self-waiver', 'what a rule says against somebody is waived by somebody else')
    if (Date.parse(until) <= Date.parse(at)) throw new DomainError('invalid-input', 'until is in the past')
    return state.waivedUntil === until ? [] : [{ type: 'SodViolationWaived', data: command.data }]
  },
}

type Detected = Extract<SodViolationEvent, { type: 'SodViolationDetected' }>['data']
const telling = ({ outcome, about }: Detected) => `${outcome} ${about.kind} ${about.id}`

function evolve(state: SodViolation, event: SodViolationEvent): SodViolation {
  if (event.type === 'SodViolationDetected') {
    const before = state.status === 'known' ? state : { told: [], waivedUntil: '' }
    const told = [...before.told, telling(event.data)].slice(-REMEMBERED)
    return { status: 'known', person: event.data.person, told, waivedUntil: before.waivedUntil }
  }
  return state.status === 'absent' ? state : { ...state, waivedUntil: event.data.until }
}
