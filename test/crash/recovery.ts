import type { Recorded } from '../../schemas/events.ts'
import { executors, type ServiceName } from '../support/deployment.ts'
import { type Absence, attended } from './absences.ts'
import type { Effect } from './effects.ts'
import type { Kill } from './nemesis.ts'
import { stretches } from './work.ts'

/** Milliseconds. */
export type Spread = { count: number; p50: number; p99: number; worst: number }
/** A kill, or the end of a fault. `at` in milliseconds of the wall clock. */
export type Incident = { what: string; point?: string; at: number }
/** How long after an incident something went on, and how much of that time nobody was away whom it took. */
export type Wait = { incident: Incident; since: number; attended: number }
export type Waits = { since: Spread; attended: Spread }
export type Recovery = {
  /** The process is back and says that it is ready. */
  ready: Spread
  /** The next command was acknowledged. */
  command: Spread
  /** The next step took effect on any target. */
  step: Waits
  /** A target run that somebody worked on at that moment went on: its next step began, or the one that ran ended. */
  atWork: Waits
  byKind: Map<string, { step: Waits; atWork: Waits }>
  /** Those that stood still the longest although nobody was away. */
  slowest: Wait[]
}
type Evidence = {
  kills: readonly Kill[]
  faults: readonly Incident[]
  absences: readonly Absence[]
  /** When commands were acknowledged, in milliseconds of the wall clock. */
  acks: readonly number[]
  effects: readonly Effect[]
  log: readonly Recorded[]
}

const SLOWEST = 5
/** No step on a target without these, nor without the executor that has it. */
const INDISPENSABLE: ReadonlySet<ServiceName> = new Set(['event-store', 'postgres', 'broker', 'vault', 'workers'])

export function recovery({ kills, faults, absences, acks, effects, log }: Evidence): Recovery {
  const killed = kills.map(({ victim, ...kill }): Incident => ({ ...kill, what: kindOf(victim) }))
  const incidents = [...killed, ...faults]
  const [steps, atWork] = [nextStep(incidents, absences, effects), nextAtWork(incidents, absences, log)]
  const of = (those: readonly Incident[]) => (waits: Wait[]) =>
    both(waits.filter(wait => those.includes(wait.incident)))
  const byKind = [...new Set(incidents.map(({ what }) => what))].map(what => {
    const ofKind = of(incidents.filter(incident => incident.what === what))
    return [what, { step: ofKind(steps), atWork: ofKind(atWork) }] as const
  })
  return {
    ready: spread(kills.flatMap(kill => kill.readyAfterMs ?? [])),
    command: spread(kills.flatMap(({ at }) => next(acks, at).map(ack => ack - at))),
    ...{ step: of(killed)(steps), atWork: of(killed)(atWork), byKind: new Map(byKind) },
    slowest: [...steps, ...atWork].sort((a, b) => b.attended - a.attended).slice(0, SLOWEST),
  }
}

/** Without the API nobody asks for what would come next; any executor will do. */
function nextStep(incidents: Incident[], absences: readonly Absence[], effects: readonly Effect[]): Wait[] {
  const times = effects.map(effect => effect.at).sort((a, b) => a - b)
  const by = (who: ServiceName) => who === 'api' || INDISPENSABLE.has(who)
  return incidents.flatMap(incident => next(times, incident.at).map(to => waited(incident, to, absences, by)))
}

function nextAtWork(incidents: Incident[], absences: readonly Absence[], log: readonly Recorded[]): Wait[] {
  const work = stretches(log)
  return incidents.flatMap(incident =>
    work.flatMap(({ from, to, executors: claims }) => {
      if (from > incident.at || to <= incident.at) return []
      const worker = claims.filter(claim => claim.from <= incident.at).at(-1)?.id
      return [waited(incident, to, absences, who => INDISPENSABLE.has(who) || who === worker)]
    }),
  )
}

const waited = (incident: Incident, to: number, absences: readonly Absence[], by: (who: ServiceName) => boolean) => ({
  ...{ incident, since: to - incident.at, attended: attended(incident.at, to, absences, by) },
})

const next = (times: readonly number[], after: number): number[] => times.filter(time => time > after).slice(0, 1)

const both = (waits: readonly Wait[]): Waits => ({
  since: spread(waits.map(wait => wait.since)),
  attended: spread(waits.map(wait => wait.attended)),
})

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), worst: sorted.at(-1) ?? 0 }
}

/** The three executors are alike. */
const kindOf = (name: string): string => (executors.some(each => each === name) ? 'executor' : name)
