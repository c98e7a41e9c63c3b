import { z } from 'zod'
import { machineCommands } from './commands/machines.ts'
import { peopleCommands } from './commands/people.ts'
import { type CommandSpec, exampleId } from './commands/spec.ts'
import { streams } from './events.ts'
import { id, reason } from './kernel.ts'
import { runStatus } from './run-rows.ts'

export type { Category, CommandSpec } from './commands/spec.ts'

/** Every command of the public API, by name. Adding one: its schema, its line below, its case in the decider. */
export const commands: Readonly<Record<string, CommandSpec>> = { ...machineCommands, ...peopleCommands }

/** The stream a command is decided on, once the id of its resource is known. */
export function commandStream({ decides, idField }: CommandSpec, data: Record<string, unknown>): string {
  const resource = String(data[idField])
  return decides === 'targetrun' ? streams.targetRun(resource, Number(data.n)) : `${decides}-${resource}`
}

const unfinished = runStatus.extract([
  'queued',
  'awaiting-approval',
  'running',
  'paused',
  'cancelling',
  'needs-attention',
])
/** Which of the runs that have not ended; those that fit everything given. */
export const cancelRuns = z.strictObject({
  jobId: id.optional(),
  status: z.array(unfinished).min(1).max(6).optional(),
  /** Id of who, or what schedule, asked for the run. */
  initiator: z.string().min(1).max(120).optional(),
  reason: reason.optional(),
})
export type CancelRuns = z.output<typeof cancelRuns>

/** Commands about every resource that fits a filter: one answer for each of them. */
export const filterCommands = {
  'cancel-runs': {
    category: 'run',
    permission: 'run:cancel',
    summary: 'Stop every run that has not ended and fits the filter',
    schema: cancelRuns,
    example: { jobId: exampleId, status: ['queued', 'running'], reason: 'wrong version released' },
  },
} as const

/** Runs are worked on from `opsconductor` too, so permissions are a closed list derived from the commands. */
export const commandPermissions: ReadonlySet<string> = new Set(Object.values(commands).map(c => c.permission))
