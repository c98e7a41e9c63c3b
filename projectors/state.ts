import { PoisonEvent, type Projection } from './projection.ts'
import { KnownResources, Resources } from './resources/resources.ts'
import { KnownRuns, Runs } from './runs/runs.ts'

/** Targets, credentials and jobs with all their versions; runs, target runs, step runs and what happened in them. */
export const stateProjection: Projection = {
  name: 'state',
  onPoison: 'park',
  begin() {
    const known = { resources: new KnownResources(), runs: new KnownRuns() }
    return async (facts, read) => {
      const [resources, runs] = await Promise.all([
        Resources.load(facts, read, known.resources),
        Runs.load(facts, read, known.runs),
      ])
      for (const fact of facts) {
        try {
          resources.apply(fact)
          runs.apply(fact, resources)
        } catch (error) {
          throw new PoisonEvent(fact.event, error)
        }
      }
      const keep = () => {
        resources.keep()
        runs.keep()
      }
      return { statements: [...resources.statements(), ...runs.statements()], runIds: runs.runIds(), keep }
    }
  },
}
