import { z } from 'zod'
import type { HttpServer } from '../infra/http/index.ts'
import { credentialRow } from '../schemas/credential.ts'
import { jobRow } from '../schemas/job.ts'
import { id, instant } from '../schemas/kernel.ts'
import { labelExpression } from '../schemas/label-expression.ts'
import type { ProblemCode } from '../schemas/problems.ts'
import { targetRow } from '../schemas/target.ts'
import { asOf, validAt } from './as-of.ts'
import { matchLabels } from './labels.ts'
import {
  after,
  Conditions,
  cursor,
  limit,
  orderBy,
  page,
  pageOf,
  type Sort,
  sortNamed,
  sortParameter,
  textValue,
  uuidValue,
} from './paging.ts'
import type { Query, Reader } from './reader.ts'
import { found, registerRead } from './route.ts'

/** What is listed with versions: read under `/v1/<plural>`. */
export type ResourceType = {
  kind: 'target' | 'credential' | 'job'
  plural: string
  notFound: ProblemCode
  row: z.ZodObject
  statuses: readonly [string, ...string[]]
}
export const resourceTypes: readonly ResourceType[] = [
  {
    kind: 'target',
    plural: 'targets',
    notFound: 'target-not-found',
    row: targetRow,
    statuses: ['active', 'decommissioned'],
  },
  {
    kind: 'credential',
    plural: 'credentials',
    notFound: 'credential-not-found',
    row: credentialRow,
    statuses: ['active', 'revoked'],
  },
  {
    kind: 'job',
    plural: 'jobs',
    notFound: 'job-not-found',
    row: jobRow,
    statuses: ['enabled', 'disabled', 'archived'],
  },
]

export type VersionRow = {
  id: string
  name: string
  revision: string
  state: Record<string, unknown>
  valid_from: string
  valid_from_time: string
}
export const versionColumns = 'id, name, revision, state, valid_from, valid_from_time'
const versioned = { revision: z.string(), changedAt: instant, position: z.string() }
/** The fields that are declared, in their order: the database keeps another. */
const fieldsOf = (row: z.ZodObject, state: Record<string, unknown>) =>
  Object.fromEntries(Object.keys(row.shape).map(field => [field, state[field]]))
const viewOf =
  (row: z.ZodObject) =>
  ({ state, revision, valid_from, valid_from_time }: VersionRow) => {
    return { ...fieldsOf(row, state), revision, changedAt: valid_from_time, position: valid_from }
  }

const byName = [
  { sql: 'name', type: 'text', value: textValue },
  { sql: 'id', type: 'uuid', value: uuidValue },
] as const
/** Ids begin with the time they were made. */
const byId = [{ sql: 'id', type: 'uuid', value: uuidValue }] as const
const sorts: readonly Sort[] = [
  { name: 'name', columns: byName, descending: false },
  { name: '-name', columns: byName, descending: true },
  { name: 'id', columns: byId, descending: false },
  { name: '-id', columns: byId, descending: true },
]

const params = z.strictObject({ id })

export function registerResources(http: HttpServer, reader: Reader): void {
  for (const type of resourceTypes) {
    registerList(http, reader, type)
    registerItem(http, reader, type)
  }
}

function registerList(http: HttpServer, reader: Reader, { kind, plural, row, statuses }: ResourceType): void {
  const common = {
    limit,
    cursor,
    sort: sortParameter(sorts),
    asOf,
    status: z.enum(statuses).optional(),
    name: z.string().min(1).max(120).optional().describe('Part of the name, in any case'),
  }
  const labels = labelExpression.optional().describe('For example env=prod,role in (web,db),!legacy')
  const query = z.strictObject({ ...common, ...(kind === 'target' && { labels }) })
  registerRead(http, reader, {
    url: `/v1/${plural}`,
    operationId: `list-${plural}`,
    tag: plural,
    summary: `List ${plural}, now or as of any moment`,
    permission: `${kind}:read`,
    projection: 'state',
    params: z.strictObject({}),
    query,
    answer: { description: 'A page', schema: pageOf(row.extend(versioned)) },
    handle: async ({ query, db }) => ({ body: await list(db, kind, query, viewOf(row)) }),
  })
}

type ListQuery = {
  limit: number
  cursor?: string | undefined
  sort: string
  asOf?: string | undefined
  status?: string | undefined
  name?: string | undefined
  labels?: unknown
}

async function list(db: Query, kind: string, query: ListQuery, view: ReturnType<typeof viewOf>) {
  const sort = sortNamed(sorts, query.sort)
  const conditions = new Conditions()
  conditions.add('kind = ?', kind)
  conditions.add('visible')
  validAt(conditions, query.asOf)
  if (query.status !== undefined) conditions.add('status = ?', query.status)
  if (query.name !== undefined) conditions.add('strpos(lower(name), lower(?)) > 0', query.name)
  if (typeof query.labels === 'string') matchLabels(conditions, query.labels)
  after(conditions, sort, query.cursor)
  const most = conditions.parameter(query.limit + 1)
  const rows = await db<VersionRow>(
    `select ${versionColumns} from read_model.resource_version where ${conditions.text} ${orderBy(sort)} limit ${most}`,
    conditions.values,
  )
  const values = (row: VersionRow) => sort.columns.map(column => (column.sql === 'name' ? row.name : row.id))
  return page(rows, query.limit, { sort, values, view })
}

function registerItem(http: HttpServer, reader: Reader, { kind, plural, row, notFound }: ResourceType): void {
  registerRead(http, reader, {
    url: `/v1/${plural}/:id`,
    operationId: `get-${kind}`,
    tag: plural,
    summary: `Show one ${kind}, now or as of any moment`,
    permission: `${kind}:read`,
    projection: 'state',
    params,
    query: z.strictObject({ asOf }),
    answer: { description: `The ${kind}`, schema: row.extend(versioned) },
    problems: [notFound],
    handle: async ({ params, query, db }) => {
      const version = found(await versionAt(db, kind, params.id, query.asOf), notFound)
      return { body: viewOf(row)(version), revision: version.revision }
    },
  })
}

/** The version that is valid now or was then; none when there was none yet. */
export async function versionAt(db: Query, kind: string, id: string, when: string | undefined): Promise<VersionRow[]> {
  const conditions = new Conditions()
  conditions.add('kind = ?', kind)
  conditions.add('id = ?', id)
  conditions.add('visible')
  validAt(conditions, when)
  return await db<VersionRow>(
    `select ${versionColumns} from read_model.resource_version where ${conditions.text} order by revision desc limit 1`,
    conditions.values,
  )
}
