import { z } from 'zod'
import type { HttpServer } from '../infra/http/index.ts'
import { type BreakGlassRow, breakGlassRow } from '../schemas/break-glass.ts'
import { id } from '../schemas/kernel.ts'
import { builtInSodRules, sodRuleRow, sodViolationRow } from '../schemas/sod.ts'
import { asOf, validAt } from './as-of.ts'
import { after, Conditions, cursor, idValue, limit, orderBy, page, pageOf, type Sort } from './paging.ts'
import type { Query, Reader } from './reader.ts'
import { registerRead } from './route.ts'

type StateRow = { id: string; state: Record<string, unknown> }
const newestFirst: Sort = {
  name: '-id',
  columns: [{ sql: 'id', type: 'text', value: idValue }],
  descending: true,
}
const stateView = ({ state }: StateRow) => state

/** Segregation of duties: the rules, what went against them, and who broke the glass. */
export function registerSod(http: HttpServer, reader: Reader): void {
  registerRules(http, reader)
  registerViolations(http, reader)
  registerBreakGlass(http, reader)
}

function registerRules(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    ...{ url: '/v1/access/sod-rules', operationId: 'list-sod-rules', tag: 'access', permission: 'sod:read' },
    summary: 'The rules of segregation of duties, built-in ones included, now or as of any moment',
    projection: 'state',
    params: z.strictObject({}),
    query: z.strictObject({ asOf }),
    answer: { description: 'All of them by name', schema: pageOf(sodRuleRow) },
    async handle({ query, db }) {
      const conditions = new Conditions()
      conditions.add('kind = ?', 'sodrule')
      validAt(conditions, query.asOf)
      const changed = new Map((await statesOf(db, conditions, '')).map(({ id: rule, state }) => [rule, state]))
      const untouched = builtInSodRules.filter(({ rule }) => !changed.has(rule))
      const items = [...untouched, ...changed.values()].map(row => sodRuleRow.parse(row))
      return { body: { items: items.toSorted((a, b) => (a.rule < b.rule ? -1 : 1)), next: null } }
    },
  })
}

function registerViolations(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    ...{ url: '/v1/access/sod-violations', operationId: 'list-sod-violations', tag: 'access' },
    summary: 'What people did or tried against the rules, one line for each rule and person',
    permission: 'sod:read',
    projection: 'state',
    params: z.strictObject({}),
    query: z.strictObject({ limit, cursor, status: sodViolationRow.shape.status.optional() }),
    answer: { description: 'A page', schema: pageOf(sodViolationRow) },
    handle: async ({ query, db }) => ({ body: await listed(db, 'sodviolation', query) }),
  })
}

const breakGlassStatus = z
  .enum(['open', 'active', 'ended', 'reviewed'])
  .default('open')
  .describe('open: whatever is still to be looked at')

function registerBreakGlass(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    ...{ url: '/v1/access/break-glass', operationId: 'list-break-glass', tag: 'access' },
    summary: 'Who took all rights in an emergency, and what is still to be looked at',
    permission: 'break-glass:read',
    projection: 'state',
    params: z.strictObject({}),
    query: z.strictObject({ limit, cursor, status: breakGlassStatus, breakGlassId: id.optional() }),
    answer: { description: 'A page, the newest first', schema: pageOf(breakGlassRow) },
    async handle({ query, db }) {
      const { status, breakGlassId, ...rest } = query
      const states = status === 'open' ? ['active', 'ended'] : [status]
      const { items, next } = await listed(db, 'breakglass', rest, conditions => {
        conditions.add('status = any(?::text[])', states)
        if (breakGlassId !== undefined) conditions.add('id = ?', breakGlassId)
      })
      return { body: { items: items.map(item => endedByClock(breakGlassRow.parse(item))), next } }
    },
  })
}

/** The clock ends it whether or not that was recorded yet. */
function endedByClock(row: BreakGlassRow): BreakGlassRow {
  const over = row.status === 'active' && Date.parse(row.until) <= Date.now()
  return over ? { ...row, status: 'ended', endedAt: row.until } : row
}

type Listed = { limit: number; cursor?: string | undefined; status?: string | undefined }

async function listed(db: Query, kind: string, query: Listed, more: (conditions: Conditions) => void = () => {}) {
  const conditions = new Conditions()
  conditions.add('kind = ?', kind)
  validAt(conditions, undefined)
  if (query.status !== undefined) conditions.add('status = ?', query.status)
  more(conditions)
  after(conditions, newestFirst, query.cursor)
  const rows = await statesOf(db, conditions, `${orderBy(newestFirst)} limit ${conditions.parameter(query.limit + 1)}`)
  return page(rows, query.limit, { sort: newestFirst, values: row => [row.id], view: stateView })
}

const statesOf = (db: Query, conditions: Conditions, rest: string) =>
  db<StateRow>(`select id, state from read_model.resource_version where ${conditions.text} ${rest}`, conditions.values)
