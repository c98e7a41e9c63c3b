import { z } from 'zod'
import type { HttpServer } from '../../infra/http/index.ts'
import { id } from '../../schemas/kernel.ts'
import { stepRunRow, targetRunRow, targetRunStatus } from '../../schemas/run-rows.ts'
import { n as targetNumber } from '../../schemas/target-run.ts'
import { after, Conditions, cursor, intValue, limit, orderBy, page, pageOf, type Sort } from '../paging.ts'
import type { Reader } from '../reader.ts'
import { found, registerRead } from '../route.ts'
import { runById } from './item.ts'
import { stepRunView, type TargetRunDbRow, targetRunView } from './views.ts'

export const byNumber: Sort = {
  name: 'n',
  columns: [{ sql: 'n', type: 'int', value: intValue }],
  descending: false,
}

export function registerTargetRuns(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/runs/:id/target-runs',
    operationId: 'list-target-runs',
    tag: 'runs',
    summary: 'How a run goes on each of its targets',
    permission: 'run:read',
    projection: 'state',
    params: z.strictObject({ id }),
    query: z.strictObject({ limit, cursor, status: targetRunStatus.optional() }),
    answer: { description: 'A page', schema: pageOf(targetRunRow) },
    problems: ['run-not-found'],
    async handle({ params, query, db, holder }) {
      found(await runById(db, holder, params.id), 'run-not-found')
      const conditions = new Conditions()
      conditions.add('run_id = ?', params.id)
      if (query.status !== undefined) conditions.add('status = ?', query.status)
      after(conditions, byNumber, query.cursor)
      const most = conditions.parameter(query.limit + 1)
      const rows = await db<TargetRunDbRow>(
        `select * from read_model.target_run where ${conditions.text} ${orderBy(byNumber)} limit ${most}`,
        conditions.values,
      )
      return { body: page(rows, query.limit, { sort: byNumber, values: row => [row.n], view: targetRunView }) }
    },
  })
  registerTargetRun(http, reader)
}

function registerTargetRun(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/runs/:id/target-runs/:n',
    operationId: 'get-target-run',
    tag: 'runs',
    summary: 'How a run goes on one target, step by step',
    permission: 'run:read',
    projection: 'state',
    params: z.strictObject({ id, n: z.coerce.number().pipe(targetNumber) }),
    query: z.strictObject({}),
    answer: { description: 'The target run', schema: targetRunRow.extend({ steps: z.array(stepRunRow) }) },
    problems: ['run-not-found', 'target-run-not-found'],
    async handle({ params, db, holder }) {
      found(await runById(db, holder, params.id), 'run-not-found')
      const at = [params.id, params.n]
      const row = found(
        await db<TargetRunDbRow>('select * from read_model.target_run where run_id = $1 and n = $2', at),
        'target-run-not-found',
      )
      const steps = await db<Record<string, unknown>>(
        'select * from read_model.step_run where run_id = $1 and n = $2 order by started_at, step_id, attempt',
        at,
      )
      return { body: { ...targetRunView(row), steps: steps.map(stepRunView) } }
    },
  })
}
