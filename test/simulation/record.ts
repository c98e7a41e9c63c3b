import type { KnownRun } from '../../command-api/domain/index.ts'
import { streams } from '../../schemas/events.ts'
import type { JobVersion } from '../../schemas/job.ts'
import type { Told } from './sim-log.ts'
import type { World } from './world.ts'

export type Say = (what: string) => void
/** A run with what the log holds of it. */
export type Case = { runId: string; run: KnownRun; version: JobVersion; events: readonly Told[] }
export type TargetCase = Case & { n: number }
type Of<T extends Told['type']> = Extract<Told, { type: T }>

export function casesOf(world: World): Case[] {
  const found: Case[] = []
  for (const runId of world.log.runs) {
    const events = world.log.stream(streams.run(runId))
    const run = world.log.run(runId)
    if (run.status === 'absent') continue
    const version = world.scenario.jobs.find(({ jobId }) => jobId === run.requested.jobId)
    if (version) found.push({ runId, run, version, events })
  }
  return found
}

export const byTargetRun = ({ runId, run }: Case, world: World): Array<[number, readonly Told[]]> =>
  run.targetIds.map((_, n) => [n, world.log.stream(streams.targetRun(runId, n))])

export const only = <T extends Told['type']>(events: readonly Told[], ...types: T[]): Array<Of<T>> =>
  events.filter((event): event is Of<T> => (types as string[]).includes(event.type))

/** Where an event stands in the log. */
export const placeOf = ({ position }: Told): bigint => position.commit

export const ended: ReadonlySet<string> = new Set(['TargetRunSucceeded', 'TargetRunFailed', 'TargetRunCancelled'])
export const begun: ReadonlySet<string> = new Set(['TargetRunClaimed', 'StepWaitStarted'])
