import { z } from 'zod'
import type { Holder, HttpServer } from '../infra/http/index.ts'
import { roleName } from '../schemas/access.ts'
import { credentialRow } from '../schemas/credential.ts'
import { executorPresence, executorRow } from '../schemas/executor.ts'
import { grantRow } from '../schemas/grant.ts'
import { groupRow } from '../schemas/group.ts'
import { jobRow } from '../schemas/job.ts'
import { id, instant } from '../schemas/kernel.ts'
import { labelExpression } from '../schemas/label-expression.ts'
import type { ProblemCode } from '../schemas/problems.ts'
import { roleRow } from '../schemas/role.ts'
import { targetRow } from '../schemas/target.ts'
import { ofVersions, onlyPermitted } from './access/permitted.ts'
import { asOf, validAt } from './as-of.ts'
import { presenceOf } from './executor-presence.ts'
import { matchLabels } from './labels.ts'
import {
  after,
  Conditions,
  cursor,
  idValue,
  limit,
  orderBy,
  page,
  pageOf,
  type Sort,
  sortNamed,
  sortParameter,
  textValue,
} from './paging.ts'
import type { Query, Reader } from './reader.ts'
import { found, registerRead } from './route.ts'

/** What is listed with versions: read under `/v1/<plural>`. */
export type ResourceType = {
  /** As read models and grants call it. */
  kind: 'target' | 'credential' | 'job' | 'executor' | 'role' | 'group' | 'grant'
  plural: string
  notFound: ProblemCode
  row: z.ZodObject
  statuses: readonly [string, ...string[]]
  /** What it is called by in a path. */
  id: z.ZodType<string>
  /** Fields beside the versioned ones, which the log does not know; left out of what is shown as of a moment. */
  live?: z.ZodObject
}
export const resourceTypes: readonly ResourceType[] = [
  {
    kind: 'target',
    plural: 'targets',
    notFound: 'target-not-found',
    row: targetRow,
    statuses: ['active', 'decommissioned'],
    id,
  },
  {
    kind: 'credential',
    plural: 'credentials',
    notFound: 'credential-not-found',
    row: credentialRow,
    statuses: ['active', 'revoked'],
    id,
  },
  {
    kind: 'job',
    plural: 'jobs',
    notFound: 'job-not-found',
    row: jobRow,
    statuses: ['enabled', 'disabled', 'archived'],
    id,
  },
  {
    kind: 'executor',
    plural: 'executors',
    notFound: 'executor-not-found',
    row: executorRow,
    statuses: ['invited', 'enrolled', 'draining', 'revoked'],
    id: executorRow.shape.executorId,
    live: executorPresence,
  },
  {
    kind: 'role',
    plural: 'roles',
    notFound: 'role-not-found',
    row: roleRow,
    statuses: ['active', 'retired'],
    id: roleName,
  },
  {
    kind: 'group',
    plural: 'groups',
    notFound: 'group-not-found',
    row: groupRow,
    statuses: ['active'],
    id,
  },
  {
    kind: 'grant',
    plural: 'grants',
    notFound: 'grant-not-found',
    row: grantRow,
    statuses: ['active', 'revoked', 'expired'],
    id,
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
/** The fields that are declared, in their order: the database keeps another, and may keep more. */
export const fieldsOf = (row: z.ZodObject, state: Record<string, unknown>) =>
  Object.fromEntries(Object.keys(row.shape).map(field => [field, state[field]]))
const viewOf =
  (row: z.ZodObject) =>
  ({ state, revision, valid_from, valid_from_time }: VersionRow) => {
    return { ...fieldsOf(row, state), revision, changedAt: valid_from_time, position: valid_from }
  }

const shapeOf = (row: z.ZodObject, live: z.ZodObject | undefined) =>
  row.extend(versioned).extend(live?.partial().shape ?? {})

async function withPresence(db: Query, items: ReadonlyArray<Record<string, unknown>>) {
  const presence = await presenceOf(
    db,
    items.map(item => String(item.executorId)),
  )
  return items.map(item => ({ ...item, ...presence(String(item.executorId)) }))
}

const byName = [
  { sql: 'name', type: 'text', value: textValue },
  { sql: 'id', type: 'text', value: idValue },
] as const
/** Ids begin with the time they were made. */
const byId = [{ sql: 'id', type: 'text', value: idValue }] as const
const sorts: readonly Sort[] = [
  { name: 'name', columns: byName, descending: false },
  { name: '-name', columns: byName, descending: true },
  { name: 'id', columns: byId, descending: false },
  { name: '-id', columns: byId, descending: true },
]

export function registerResources(http: HttpServer, reader: Reader): void {
  for (const type of resourceTypes) {
    registerList(http, reader, type)
    registerItem(http, reader, type)
  }
}

function registerList(http: HttpServer, reader: Reader, { kind, plural, row, statuses, live }: ResourceType): void {
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
    answer: { description: 'A page', schema: pageOf(shapeOf(row, live)) },
    handle: async ({ query, db, holder }) => {
      const { items, next } = await list(db, kind, query, holder, viewOf(row))
      return { body: { items: live && !query.asOf ? await withPresence(db, items) : items, next } }
    },
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

async function list(db: Query, kind: string, query: ListQuery, holder: Holder, view: ReturnType<typeof viewOf>) {
  const sort = sortNamed(sorts, query.sort)
  const conditions = new Conditions()
  conditions.add('kind = ?', kind)
  conditions.add('visible')
  validAt(conditions, query.asOf)
  if (query.status !== undefined) conditions.add('status = ?', query.status)
  if (query.name !== undefined) conditions.add('strpos(lower(name), lower(?)) > 0', query.name)
  if (typeof query.labels === 'string') matchLabels(conditions, query.labels)
  onlyVisible(conditions, holder, kind, query.asOf)
  after(conditions, sort, query.cursor)
  const most = conditions.parameter(query.limit + 1)
  const rows = await db<VersionRow>(
    `select ${versionColumns} from read_model.resource_version where ${conditions.text} ${orderBy(sort)} limit ${most}`,
    conditions.values,
  )
  const values = (row: VersionRow) => sort.columns.map(column => (column.sql === 'name' ? row.name : row.id))
  return page(rows, query.limit, { sort, values, view })
}

function registerItem(http: HttpServer, reader: Reader, type: ResourceType): void {
  const { kind, plural, row, notFound, live } = type
  registerRead(http, reader, {
    url: `/v1/${plural}/:id`,
    operationId: `get-${kind}`,
    tag: plural,
    summary: `Show one ${kind}, now or as of any moment`,
    permission: `${kind}:read`,
    projection: 'state',
    params: z.strictObject({ id: type.id }),
    query: z.strictObject({ asOf }),
    answer: { description: `The ${kind}`, schema: shapeOf(row, live) },
    problems: [notFound],
    handle: async ({ params, query, db, holder }) => {
      const version = found(await versionAt(db, holder, kind, params.id, query.asOf), notFound)
      const [shown] = live && !query.asOf ? await withPresence(db, [viewOf(row)(version)]) : [viewOf(row)(version)]
      return { body: shown, revision: version.revision }
    },
  })
}

type Seeing = Pick<Holder, 'scopes'>

/** What somebody may see as it is now they may see as it ever was; what they may not, not. */
function onlyVisible(conditions: Conditions, holder: Seeing, kind: string, when: string | undefined): void {
  const now = when === undefined ? conditions : conditions.within()
  onlyPermitted(now, holder, `${kind}:read`, ofVersions(kind))
  if (when === undefined || now.isEmpty) return
  const kindNow = conditions.parameter(kind)
  conditions.add(
    `id in (select id from read_model.resource_version where kind = ${kindNow} and valid_to is null and ${now.text})`,
  )
}

/** The version that is valid now or was then; none when there was none yet, or it may not be seen. */
export async function versionAt(
  db: Query,
  holder: Seeing,
  kind: string,
  id: string,
  when: string | undefined,
): Promise<VersionRow[]> {
  const conditions = new Conditions()
  conditions.add('kind = ?', kind)
  conditions.add('id = ?', id)
  conditions.add('visible')
  validAt(conditions, when)
  onlyVisible(conditions, holder, kind, when)
  return await db<VersionRow>(
    `select ${versionColumns} from read_model.resource_version where ${conditions.text} order by revision desc limit 1`,
    conditions.values,
  )
}
