import type { EventStore } from '../infra/event-store/port.ts'
import type { Log } from '../infra/log.ts'
import type { CancelRuns } from '../schemas/commands.ts'
import type { Recorded } from '../schemas/events.ts'
import type { RunEvent } from '../schemas/run.ts'
import { createFollower, type Follower } from './dispatch/follower.ts'
import { deciders, isFinished, type KnownRun } from './domain/index.ts'

type Filter = Omit<CancelRuns, 'reason'>

/** Runs that have not ended, in memory: what a command about many runs is resolved against. */
export interface ActiveRuns extends Follower {
  /** Oldest first. */
  matching(filter: Filter): Array<{ runId: string; jobId: string }>
}

export function createActiveRuns({ store, log }: { store: EventStore; log: Log }): ActiveRuns {
  const runs = new Map<string, KnownRun>()
  const follower = createFollower({ store, log, categories: ['run'], apply: event => apply(runs, event) })
  return {
    get live() {
      return follower.live
    },
    current: follower.current,
    stop: follower.stop,
    matching: filter =>
      [...runs]
        .filter(([, run]) => fits(run, filter))
        .map(([runId, { requested }]) => ({ runId, jobId: requested.jobId })),
  }
}

function apply(runs: Map<string, KnownRun>, recorded: Recorded): void {
  // Only the category `run` is read.
  const event = recorded as Recorded & RunEvent
  // The targets of a run may be many, and nothing is selected by them.
  if (event.type === 'TargetsResolved') return
  const { runId } = event.data
  const next = deciders.run.evolve(runs.get(runId) ?? deciders.run.initial, event)
  if (next.status === 'absent') return
  if (isFinished(next)) runs.delete(runId)
  else runs.set(runId, next)
}

function fits({ status, requested }: KnownRun, filter: Filter): boolean {
  if (filter.jobId !== undefined && requested.jobId !== filter.jobId) return false
  if (filter.initiator !== undefined && requested.initiator.id !== filter.initiator) return false
  // A status of one that has ended never is in the map.
  return filter.status === undefined || (filter.status as readonly string[]).includes(status)
}
