import { z } from 'zod'
import type { HttpServer } from '../../infra/http/index.ts'
import { id } from '../../schemas/kernel.ts'
import { stepRunRow, targetRunRow } from '../../schemas/run-rows.ts'
import { attempt, n } from '../../schemas/target-run.ts'
import { after, Conditions, cursor, limit, orderBy, page, pageOf } from '../paging.ts'
import type { Query, Reader } from '../reader.ts'
import { found, registerRead } from '../route.ts'
import { GATES, runById } from './item.ts'
import { byNumber } from './target-runs.ts'
import { type GateDbRow, gate, gateView, type TargetRunDbRow } from './views.ts'

/** So many steps whose processes may be left over are listed. */
const MAX_LEFT_OVER = 100

const unclear = z.object({
  n,
  targetId: id,
  targetName: z.string().nullable(),
  stepId: targetRunRow.shape.stepId,
  attempt: attempt.nullable(),
  detail: z.string().nullable(),
  help: z.string(),
})
const leftOver = stepRunRow
  .pick({ n: true, stepId: true, attempt: true, detail: true })
  .extend({ targetName: z.string().nullable(), help: z.string() })

const answer = pageOf(unclear).extend({
  paused: z.boolean().describe('Nothing goes on before resume-run'),
  approvals: z.array(gate).describe('Somebody has to say yes or no: grant-approval, deny-approval'),
  leftOver: z.array(leftOver).describe(`Stopped steps whose processes may still run, at most ${MAX_LEFT_OVER}`),
})

/** What of a run waits for a person, and what there is to do about it. */
export function registerAttention(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/runs/:id/attention',
    operationId: 'get-run-attention',
    tag: 'runs',
    summary: 'What of a run needs a person, and what to do',
    permission: 'run:read',
    projection: 'state',
    params: z.strictObject({ id }),
    query: z.strictObject({ limit, cursor }),
    answer: { description: 'Steps whose outcome nobody knows, page by page, and what else waits', schema: answer },
    problems: ['run-not-found'],
    async handle({ params, query, db, holder }) {
      const row = found(await runById(db, holder, params.id), 'run-not-found')
      const gates = await db<GateDbRow>(GATES, [params.id])
      const unresolved = await unclearOutcomes(db, params.id, query)
      return {
        body: {
          ...page(unresolved, query.limit, { sort: byNumber, values: row => [row.n], view: unclearView }),
          paused: row.status === 'paused',
          approvals: gates.filter(row => row.kind === 'approval' && row.status === 'pending').map(gateView),
          leftOver: (await db<Record<string, unknown>>(LEFT_OVER, [params.id])).map(leftOverView),
        },
      }
    },
  })
}

async function unclearOutcomes(db: Query, runId: string, query: { limit: number; cursor?: string | undefined }) {
  const conditions = new Conditions()
  conditions.add('run_id = ?', runId)
  conditions.add('status = ?', 'needs-attention')
  after(conditions, byNumber, query.cursor)
  const most = conditions.parameter(query.limit + 1)
  return await db<TargetRunDbRow>(
    `select *, (select max(attempt) from read_model.step_run s
       where s.run_id = t.run_id and s.n = t.n and s.step_id = t.step_id) as attempt
     from read_model.target_run t where ${conditions.text} ${orderBy(byNumber)} limit ${most}`,
    conditions.values,
  )
}

const LEFT_OVER = `
  select s.n, s.step_id, s.attempt, s.detail, t.target_name
  from read_model.step_run s join read_model.target_run t using (run_id, n)
  where s.run_id = $1 and s.termination = 'unconfirmed' order by s.n, s.step_id, s.attempt limit ${MAX_LEFT_OVER}`

const unclearView = (row: TargetRunDbRow) => ({
  n: row.n,
  targetId: row.target_id,
  targetName: row.target_name,
  stepId: row.step_id,
  attempt: row.attempt,
  detail: row.detail,
  help: `Look on the machine whether ${row.step_id ?? 'the step'} took effect, then resolve-step as succeeded, failed or retry, with a reason.`,
})

const leftOverView = (row: Record<string, unknown>) => ({
  n: row.n,
  stepId: row.step_id,
  attempt: row.attempt,
  detail: row.detail,
  targetName: row.target_name,
  help: 'The step was stopped, but whether its processes are gone could not be confirmed: look for them on the machine.',
})
