import { z } from 'zod'
import { parseInput, toProblem } from '../infra/http/index.ts'
import { derivedId } from '../infra/ids.ts'
import { cancelRuns, filterCommands } from '../schemas/commands.ts'
import { id } from '../schemas/kernel.ts'
import { keyedCommandId } from './command-record.ts'
import { type CommandDeps, edgeError, forbidden, metaOf } from './execute.ts'
import type { Envelope } from './request-meta.ts'

const AT_ONCE = 16

export const cancelRunsAnswer = z.object({
  commandId: id,
  matched: z.int().describe('Runs that had not ended and fitted the filter'),
  runs: z.array(
    z.object({
      runId: id,
      status: z.int().describe('As the command cancel-run would have answered'),
      cancelled: z.boolean().describe('False for a run that was being cancelled already, or could not be'),
      problem: z.unknown().optional(),
    }),
  ),
})
type Answer = z.output<typeof cancelRunsAnswer>

const name = 'cancel-runs'

/**
 * Cancels each run that fits, as cancel-run would. A repeat does no harm: what is being cancelled is left alone, and
 * with the same Idempotency-Key each run gets the same command again.
 */
export async function cancelMany(deps: CommandDeps, body: unknown, envelope: Envelope): Promise<Answer> {
  if (!envelope.principal.permits(filterCommands[name].permission)) throw await forbidden(deps, name, envelope)
  const { reason, ...filter } = parseInput(cancelRuns, body)
  const key = envelope.idempotencyKey
  const commandId = key === undefined ? deps.ids.next() : keyedCommandId(envelope.principal, key)
  await deps.activeRuns.current().catch(error => {
    throw edgeError(error)
  })
  const runIds = deps.activeRuns.matching(filter)
  const meta = metaOf(deps, name, envelope, commandId)
  const one = async (runId: string): Promise<Answer['runs'][number]> => {
    const own = { ...meta, commandId: derivedId(commandId, runId), $causationId: commandId }
    const command = { type: 'cancel-run', data: { runId, ...(reason !== undefined && { reason }) } } as const
    try {
      const { events } = await deps.dispatcher.dispatch('run', command, { meta: own, facts: undefined })
      return { runId, status: 200, cancelled: events.length > 0 }
    } catch (error) {
      const problem = toProblem(edgeError(error))
      return { runId, status: problem.status, cancelled: false, problem }
    }
  }
  const runs: Answer['runs'] = []
  for (let from = 0; from < runIds.length; from += AT_ONCE)
    runs.push(...(await Promise.all(runIds.slice(from, from + AT_ONCE).map(one))))
  return { commandId, matched: runIds.length, runs }
}

const exampleRun = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
export const cancelRunsExample: Answer = {
  commandId: exampleRun,
  matched: 1,
  runs: [{ runId: exampleRun, status: 200, cancelled: true }],
}
