import { PoisonEvent, type Projection } from './projection.ts'
import { Resources } from './resources/resources.ts'
import { Runs } from './runs/runs.ts'

/** Targets, credentials and jobs with all their versions; runs, target runs, step runs and what happened in them. */
export const stateProjection: Projection = {
  name: 'state',
  onPoison: 'park',
  async apply(facts, read) {
    const [resources, runs] = await Promise.all([Resources.load(facts, read), Runs.load(facts, read)])
    for (const fact of facts) {
      try {
        resources.apply(fact)
        runs.apply(fact, resources)
      } catch (error) {
        throw new PoisonEvent(fact.event, error)
      }
    }
    return { statements: [...resources.statements(), ...runs.statements()], runIds: runs.runIds() }
  },
}
