import { z } from 'zod'
import type { HttpServer } from '../infra/http/index.ts'
import { instant } from '../schemas/kernel.ts'
import { parsePosition, positionText } from '../schemas/position.ts'
import { onlyPermittedRecords } from './access/audit-rows.ts'
import { type AuditDbRow, auditColumns, auditFilters, auditRecord, auditView, matchAudit } from './audit-row.ts'
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
  sortNamed,
  sortParameter,
} from './paging.ts'
import type { Reader } from './reader.ts'
import { found, registerRead } from './route.ts'

const position = [
  { sql: 'commit', type: 'bigint', value: bigintValue },
  { sql: 'prepare', type: 'bigint', value: bigintValue },
] as const
const sorts: readonly Sort[] = [
  { name: '-position', columns: position, descending: true },
  { name: 'position', columns: position, descending: false },
]

/** The time of the log never runs backwards, so a span of time is a span of positions: found once, by index. */
const notBefore = `(commit, prepare) >= (select commit, prepare from read_model.audit where time >= ?::timestamptz
  order by time, commit, prepare limit 1)`
const notAfter = `(commit, prepare) <= (select commit, prepare from read_model.audit where time <= ?::timestamptz
  order by time desc, commit desc, prepare desc limit 1)`

export function registerAudit(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/audit',
    operationId: 'list-audit',
    tag: 'audit',
    summary: 'Everything that happened, newest first',
    description: 'One record for each event: who did what to which resource, when, why, and what changed.',
    permission: 'audit:read',
    projection: 'audit',
    params: z.strictObject({}),
    query: z.strictObject({
      limit,
      cursor,
      sort: sortParameter(sorts),
      ...auditFilters,
      from: instant.optional().describe('Recorded at this instant or later'),
      to: instant.optional().describe('Recorded at this instant or earlier'),
    }),
    answer: { description: 'A page', schema: pageOf(auditRecord) },
    async handle({ query: { limit, cursor, sort: name, from, to, ...filters }, db, holder }) {
      const sort = sortNamed(sorts, name)
      const conditions = new Conditions()
      matchAudit(conditions, filters)
      onlyPermittedRecords(conditions, holder)
      if (from !== undefined) conditions.add(notBefore, from)
      if (to !== undefined) conditions.add(notAfter, to)
      after(conditions, sort, cursor)
      const most = conditions.parameter(limit + 1)
      const rows = await db<AuditDbRow>(
        `select ${auditColumns} from read_model.audit where ${conditions.text} ${orderBy(sort)} limit ${most}`,
        conditions.values,
      )
      return { body: page(rows, limit, { sort, values: row => [row.commit, row.prepare], view: auditView }) }
    },
  })
  registerRead(http, reader, {
    url: '/v1/audit/:position',
    operationId: 'get-audit-record',
    tag: 'audit',
    summary: 'One record, with the whole event',
    permission: 'audit:read',
    projection: 'audit',
    params: z.strictObject({ position: positionText }),
    query: z.strictObject({}),
    answer: {
      description: 'The record',
      schema: auditRecord.extend({ schemaVersion: z.int(), data: z.record(z.string(), z.unknown()) }),
    },
    problems: ['not-found'],
    async handle({ params, db, holder }) {
      const { commit, prepare } = parsePosition(params.position)
      const conditions = new Conditions()
      conditions.add('commit = ?', commit)
      conditions.add('prepare = ?', prepare)
      onlyPermittedRecords(conditions, holder)
      const row = found(
        await db<AuditDbRow>(
          `select ${auditColumns}, schema_version, data from read_model.audit where ${conditions.text}`,
          conditions.values,
        ),
        'not-found',
      )
      return { body: { ...auditView(row), schemaVersion: row.schema_version, data: row.data } }
    },
  })
}
