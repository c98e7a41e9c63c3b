import { z } from 'zod'
import type { Holder, HttpServer } from '../../infra/http/index.ts'
import { principal } from '../../schemas/access.ts'
import { authorisedBy } from '../../schemas/approval.ts'
import { id, sha256 } from '../../schemas/kernel.ts'
import { labelExpression } from '../../schemas/label-expression.ts'
import { parameterValues } from '../../schemas/parameters.ts'
import { plannedStep } from '../../schemas/run.ts'
import { stepId } from '../../schemas/steps/base.ts'
import type { Query, Reader } from '../reader.ts'
import { found, registerRead } from '../route.ts'
import { noExecutorFor } from './no-executor.ts'
import { progress, progressOf } from './progress.ts'
import { type GateDbRow, gate, gateView, type RunDbRow, run, runView } from './views.ts'

const json = z.record(z.string(), z.unknown())
const shown = run.extend({
  progress,
  selection: json,
  parameters: parameterValues,
  strategy: json,
  timeouts: json,
  maxParallel: z.int().nullable(),
  overlap: z.string().nullable(),
  access: z.string().nullable(),
  executors: labelExpression.nullable().describe('Labels an executor has to have to be given any of it'),
  noExecutor: z.string().nullable().describe('Why nobody can take what is left of it, for want of an executor'),
  plan: z.array(plannedStep).describe('The steps each target goes through, in order; loops are unrolled'),
  fromStep: stepId.nullable(),
  confirmed: z.object({ rules: z.array(z.string()), rulesDigest: sha256 }).nullable(),
  approval: json.nullable().describe('What has to be agreed to before anything of it begins'),
  authorisedBy: authorisedBy.nullable().describe('What allowed it to be triggered'),
  runAs: principal.nullable().describe('Whose rights it uses'),
  gates: z.array(gate).describe('What is done once for the run: approvals and runs of other jobs'),
})

type ItemDbRow = RunDbRow & { elapsed: number | null; status: string; pool: string | null; executors: string | null }
/** One row of the run and one of its request, each found by its key. */
export const ITEM = `
  select r.*, q.selection, q.parameters, q.strategy, q.timeouts, q.plan, q.overlap, q.access, q.executors, q.from_step, q.confirmed,
    q.approval, q.authorised_by, q.run_as,
    extract(epoch from coalesce(r.finished_at, now()) - r.started_at)::float8 as elapsed
  from read_model.run r join read_model.run_request q using (run_id) where r.run_id = $1`
export const GATES = 'select * from read_model.run_gate where run_id = $1 order by opened_commit, step_id'

/** None when there is none, or this holder may not see it. */
export async function runById(db: Query, holder: Holder, runId: string): Promise<RunDbRow[]> {
  const rows = await db<RunDbRow>('select * from read_model.run where run_id = $1', [runId])
  return rows.filter(row => maySeeRun(holder, runId, row.job_id))
}

export const maySeeRun = (holder: Holder, runId: string, jobId: string): boolean =>
  holder.permitsOn('run:read', { kind: 'run', id: runId, jobId })

/** @throws ProblemError run-not-found, also when it may not be seen. */
export async function mustSeeRun(db: Query, holder: Holder, runId: string): Promise<void> {
  found(await runById(db, holder, runId), 'run-not-found')
}

export function registerRunItem(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/runs/:id',
    operationId: 'get-run',
    tag: 'runs',
    summary: 'Show one run, with how far it is',
    permission: 'run:read',
    projection: 'state',
    params: z.strictObject({ id }),
    query: z.strictObject({}),
    answer: { description: 'The run', schema: shown },
    problems: ['run-not-found'],
    async handle({ params, db, holder }) {
      await mustSeeRun(db, holder, params.id)
      const row = found(await db<ItemDbRow>(ITEM, [params.id]), 'run-not-found')
      const gates = await db<GateDbRow>(GATES, [params.id])
      const body = {
        ...runView(row),
        progress: await progressOf(db, row),
        ...{ selection: row.selection, parameters: row.parameters, strategy: row.strategy, timeouts: row.timeouts },
        ...{ maxParallel: row.max_parallel, overlap: row.overlap, access: row.access, plan: row.plan },
        ...{ executors: row.executors, noExecutor: await noExecutorFor(db, row) },
        ...{ fromStep: row.from_step, confirmed: row.confirmed },
        ...{ approval: row.approval, authorisedBy: row.authorised_by, runAs: row.run_as },
        gates: gates.map(gateView),
      }
      return { body, revision: row.revision }
    },
  })
}
