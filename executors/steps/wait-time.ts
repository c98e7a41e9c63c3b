import type { Action } from '../../schemas/steps/index.ts'
import { pause } from '../wait.ts'
import type { Runner } from './runner.ts'

type WaitTime = Extract<Action, { uses: 'wait.time' }>

/** Most waits need no executor; one that undoes something is a step like any other. */
export const waitTime: Runner<WaitTime> = {
  connects: false,
  run: async ({ with: wanted }, { signal, begin, alive, clock }) => {
    begin()
    const now = () => Date.parse(clock.now())
    const until = 'seconds' in wanted ? now() + wanted.seconds * 1_000 : Date.parse(wanted.until)
    for (let left = until - now(); left > 0 && !signal.aborted; left = until - now()) {
      await pause(Math.min(left, 1_000), signal)
      alive()
    }
    if (signal.aborted) return { kind: 'stopped', termination: 'terminated', detail: 'nothing went on' }
    return { kind: 'succeeded', exitCode: 0 }
  },
}
