import { type Deployment, executors, type ServiceName } from '../support/deployment.ts'
import type { Period, Periods } from '../support/periods.ts'
import type { ProxyLine } from '../support/proxy.ts'

/** Somebody could not be reached, or did not exist. */
export type Absence = Period & { who: ServiceName }

/** Who was away, or might as well have been because nothing passed on a line of its. */
export function absences({ services, lines }: Deployment, ssh: ReadonlyMap<string, ProxyLine>): Absence[] {
  const of = (who: ServiceName, { all }: Periods) => all.map(period => ({ ...period, who }))
  return [
    ...[...services].flatMap(([name, { away }]) => of(name, away)),
    // Named after both its ends, who connects first.
    ...[...lines].flatMap(([name, { blocked }]) => of(name.split(' ')[0] as ServiceName, blocked)),
    ...[...ssh.values()].flatMap(({ blocked }) => executors.flatMap(each => of(each, blocked))),
  ]
}

/** Milliseconds between two moments at which nobody of those was away. */
export function attended(
  from: number,
  to: number,
  absences: readonly Absence[],
  by: (who: ServiceName) => boolean,
): number {
  let [away, seen] = [0, from]
  const during = absences.filter(absence => by(absence.who) && absence.to > from && absence.from < to)
  for (const absence of during.sort((a, b) => a.from - b.from)) {
    const until = Math.min(absence.to, to)
    away += Math.max(0, until - Math.max(absence.from, seen))
    seen = Math.max(seen, until)
  }
  return to - from - away
}
