import { z } from 'zod'
import type { Resource } from '../infra/access.ts'
import { ProblemError, parseInput, toProblem } from '../infra/http/index.ts'
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
  const { permission } = filterCommands[name]
  if (!envelope.principal.permits(permission)) throw await forbidden(deps, name, envelope)
  const { reason, ...filter } = parseInput(cancelRuns, body)
  const key = envelope.idempotencyKey
  const commandId = key === undefined ? deps.ids.next() : keyedCommandId(envelope.principal, key)
  await deps.activeRuns.current().catch(error => {
    throw edgeError(error)
  })
  // A run that may not be seen is not even counted.
  const found = deps.activeRuns.matching(filter).map(({ runId, jobId }) => ({ kind: 'run', id: runId, jobId }))
  const { principal } = envelope
  const may = (run: Resource) => principal.permitsOn(permission, run)
  const shown = found.filter(run => may(run) || principal.permitsOn('run:read', run))
  const meta = metaOf(deps, name, envelope, commandId)
  const one = async (run: Resource): Promise<Answer['runs'][number]> => {
    const runId = run.id
    if (!may(run))
      return { runId, ...refused(new ProblemError('forbidden', `needs ${permission} on the run ${runId}`)) }
    const own = { ...meta, commandId: derivedId(commandId, runId), $causationId: commandId }
    const command = { type: 'cancel-run', data: { runId, ...(reason !== undefined && { reason }) } } as const
    try {
      const { events } = await deps.dispatcher.dispatch('run', command, { meta: own, facts: undefined })
      return { runId, status: 200, cancelled: events.length > 0 }
    } catch (error) {
      return { runId, ...refused(edgeError(error)) }
    }
  }
  const runs: Answer['runs'] = []
  for (let from = 0; from < shown.length; from += AT_ONCE)
    runs.push(...(await Promise.all(shown.slice(from, from + AT_ONCE).map(one))))
  return { commandId, matched: shown.length, runs }
}

function refused(error: unknown) {
  const problem = toProblem(error)
  return { status: problem.status, cancelled: false, problem }
}

const exampleRun = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
export const cancelRunsExample: Answer = {
  commandId: exampleRun,
  matched: 1,
  runs: [{ runId: exampleRun, status: 200, cancelled: true }],
}
