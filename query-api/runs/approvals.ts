import { z } from 'zod'
import { personOf, principalKey } from '../../infra/access.ts'
import type { Holder, HttpServer } from '../../infra/http/index.ts'
import { actorSchema, id } from '../../schemas/kernel.ts'
import { gateStatus } from '../../schemas/run-rows.ts'
import { ofRuns, onlyPermitted } from '../access/permitted.ts'
import type { AccessView } from '../access/view.ts'
import {
  after,
  bigintValue,
  Conditions,
  cursor,
  limit,
  orderBy,
  page,
  pageOf,
  type Sort,
  textValue,
  uuidValue,
} from '../paging.ts'
import type { Reader } from '../reader.ts'
import { registerRead } from '../route.ts'
import { type GateDbRow, gate, gateView } from './views.ts'

const oldestFirst: Sort = {
  name: 'openedAt',
  columns: [
    { sql: 'g.opened_commit', type: 'bigint', value: bigintValue },
    { sql: 'g.run_id', type: 'uuid', value: uuidValue },
    { sql: 'g.step_id', type: 'text', value: textValue },
  ],
  descending: false,
}
const approval = gate
  .omit({ kind: true, subRunId: true })
  .extend({ jobId: id, jobName: z.string(), targets: z.int(), initiator: actorSchema, reason: z.string().nullable() })

const mine = z
  .enum(['true', 'false'])
  .optional()
  .describe('Only what is asked of whoever asks: not of their own runs, not what they have said a word on')

/** The rules are judged when something is said; what this leaves out would be refused then. */
function onlyMine(conditions: Conditions, holder: Holder, { state }: AccessView): void {
  onlyPermitted(conditions, holder, 'run:approve', { ...ofRuns, id: 'g.run_id', jobId: 'g.job_id' })
  const who = personOf(state, holder.actor)
  // Keys of the key file are asked always.
  if (!who) return
  const groups = [...(state.groupsOf.get(principalKey(who)) ?? [])]
  const asked = [
    'g.approvers is null',
    `jsonb_exists_any(g.approvers::jsonb -> 'roles', ${conditions.parameter([...(holder.actor.roles ?? [])])}::text[])`,
    `jsonb_exists_any(g.approvers::jsonb -> 'groups', ${conditions.parameter(groups)}::text[])`,
    `g.delegations::jsonb @> ${conditions.parameter(JSON.stringify([{ to: who }]))}::jsonb`,
  ]
  conditions.add(asked.map(each => `coalesce(${each}, false)`).join(' or '))
  conditions.add(`r.initiator_id <> ? and coalesce(q.run_as ->> 'id', '') <> ?`, who.id)
  conditions.add('not g.decisions::jsonb @> ?::jsonb', JSON.stringify([{ by: { id: who.id } }]))
}

/** What waits for somebody's yes or no. */
export function registerApprovals(http: HttpServer, reader: Reader, access: AccessView): void {
  registerRead(http, reader, {
    url: '/v1/approvals',
    operationId: 'list-approvals',
    tag: 'runs',
    summary: 'Approvals that runs ask for, the longest waiting first',
    permission: 'run:read',
    projection: 'state',
    params: z.strictObject({}),
    query: z.strictObject({ limit, cursor, status: gateStatus.default('pending'), runId: id.optional(), mine }),
    answer: { description: 'A page', schema: pageOf(approval) },
    async handle({ query, db, holder }) {
      const conditions = new Conditions()
      conditions.add(`g.kind = 'approval'`)
      conditions.add('g.status = ?', query.status)
      if (query.runId !== undefined) conditions.add('g.run_id = ?', query.runId)
      onlyPermitted(conditions, holder, 'run:read', { ...ofRuns, id: 'g.run_id', jobId: 'g.job_id' })
      if (query.mine === 'true') onlyMine(conditions, holder, access)
      after(conditions, oldestFirst, query.cursor)
      const most = conditions.parameter(query.limit + 1)
      const rows = await db<GateDbRow>(
        `select g.*, r.targets, r.initiator, r.reason from read_model.run_gate g join read_model.run r using (run_id)
         join read_model.run_request q using (run_id)
         where ${conditions.text} ${orderBy(oldestFirst)} limit ${most}`,
        conditions.values,
      )
      const values = (row: GateDbRow) => [row.opened_commit, row.run_id, row.step_id]
      return { body: page(rows, query.limit, { sort: oldestFirst, values, view }) }
    },
  })
}

function view(row: GateDbRow) {
  const { kind: _, subRunId: __, ...shown } = gateView(row)
  const { job_id: jobId, job_name: jobName, targets, initiator, reason } = row
  return { ...shown, jobId, jobName, targets, initiator, reason }
}
