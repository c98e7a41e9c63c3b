import { z } from 'zod'
import type { HttpServer } from '../../infra/http/index.ts'
import { id, instant } from '../../schemas/kernel.ts'
import { runStatus } from '../../schemas/run-rows.ts'
import { ofRuns, onlyPermitted } from '../access/permitted.ts'
import {
  after,
  bigintValue,
  Conditions,
  cursor,
  intValue,
  limit,
  orderBy,
  page,
  pageOf,
  type Sort,
  sortNamed,
  sortParameter,
} from '../paging.ts'
import type { Reader } from '../reader.ts'
import { registerRead } from '../route.ts'
import { type RunDbRow, run, runView } from './views.ts'

const requested = { sql: 'requested_commit', type: 'bigint', value: bigintValue } as const
/** Spelled as the index is. */
const NEEDS_ATTENTION = `((status = 'needs-attention')::int)`
const sorts: readonly Sort[] = [
  { name: '-requestedAt', columns: [requested], descending: true },
  { name: 'requestedAt', columns: [requested], descending: false },
  {
    name: 'attention',
    columns: [{ sql: NEEDS_ATTENTION, type: 'int', value: intValue }, requested],
    descending: true,
  },
]

const statuses = z
  .string()
  .max(200)
  .optional()
  .transform((text, context) => {
    const given = text?.split(',') ?? []
    const parsed = z.array(runStatus).safeParse(given)
    if (parsed.success) return parsed.data
    context.addIssue({ code: 'custom', message: `one or more of ${runStatus.options.join(', ')}, with commas between` })
    return z.NEVER
  })

const filters = z.strictObject({
  limit,
  cursor,
  sort: sortParameter(sorts).describe('attention: runs that need a person first, newest first'),
  status: statuses.describe('One or several, with commas between'),
  jobId: id.optional(),
  targetId: id.optional().describe('Runs that ran, or are to run, on this target'),
  initiator: z.string().min(1).max(120).optional().describe('Id of who, or what schedule, asked for it'),
  since: instant.optional().describe('Requested at this instant or later'),
  until: instant.optional().describe('Requested before this instant'),
  rerunOf: id.optional(),
  parent: id.optional().describe('Runs that a step of this run triggered'),
})

export function registerRunList(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/runs',
    operationId: 'list-runs',
    tag: 'runs',
    summary: 'List runs, newest first or those that need a person first',
    permission: 'run:read',
    projection: 'state',
    params: z.strictObject({}),
    query: filters,
    answer: { description: 'A page', schema: pageOf(run) },
    async handle({ query, db, holder }) {
      const sort = sortNamed(sorts, query.sort)
      const conditions = conditionsOf(query)
      onlyPermitted(conditions, holder, 'run:read', ofRuns)
      after(conditions, sort, query.cursor)
      const most = conditions.parameter(query.limit + 1)
      const rows = await db<RunDbRow>(
        `select * from read_model.run where ${conditions.text} ${orderBy(sort)} limit ${most}`,
        conditions.values,
      )
      const attention = sort.name === 'attention'
      const values = (row: RunDbRow) =>
        attention ? [row.status === 'needs-attention' ? 1 : 0, row.requested_commit] : [row.requested_commit]
      return { body: page(rows, query.limit, { sort, values, view: runView }) }
    },
  })
}

function conditionsOf(query: z.output<typeof filters>): Conditions {
  const conditions = new Conditions()
  const add = (text: string, value: unknown) => {
    if (value !== undefined) conditions.add(text, value)
  }
  if (query.status.length > 0) conditions.add('status = any(?::text[])', query.status)
  add('job_id = ?', query.jobId)
  add('run_id in (select run_id from read_model.target_run where target_id = ?)', query.targetId)
  add('initiator_id = ?', query.initiator)
  add('requested_at >= ?::timestamptz', query.since)
  add('requested_at < ?::timestamptz', query.until)
  add('rerun_of = ?', query.rerunOf)
  add('parent_run_id = ?', query.parent)
  return conditions
}
