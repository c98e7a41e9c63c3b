import { z } from 'zod'
import type { Holder, HttpServer } from '../infra/http/index.ts'
import { roleName } from '../schemas/access.ts'
import { apiKeyRow } from '../schemas/api-key.ts'
import { credentialRow } from '../schemas/credential.ts'
import { executorPresence, executorRow } from '../schemas/executor.ts'
import { grantRow } from '../schemas/grant.ts'
import { groupRow } from '../schemas/group.ts'
import { jobRow } from '../schemas/job.ts'
import { id, instant } from '../schemas/kernel.ts'
import { labelExpression } from '../schemas/label-expression.ts'
import type { ProblemCode } from '../schemas/problems.ts'
import { roleRow } from '../schemas/role.ts'
import { serviceAccountRow } from '../schemas/service-account.ts'
import { sessionRow } from '../schemas/session.ts'
import { targetRow } from '../schemas/target.ts'
import { loginName, personName, userRow } from '../schemas/user.ts'
import { ofVersions, onlyPermitted } from './access/permitted.ts'
import { onlyOwnCredentials } from './access/personal.ts'
import { asOf, validAt } from './as-of.ts'
import { presenceOf } from './executor-presence.ts'
import { matchLabels } from './labels.ts'
import type { Names } from './names.ts'
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

const kinds = [
  ...(['target', 'credential', 'job', 'executor', 'role', 'group', 'grant'] as const),
  ...(['user', 'service-account', 'api-key', 'session'] as const),
] as const

/** What is listed with versions: read under `/v1/<plural>`. */
export type ResourceType = {
  /** As read models and grants call it. */
  kind: (typeof kinds)[number]
  /** What read models call it, where that is not the same. */
  stored?: string
  plural: string
  notFound: ProblemCode
  row: z.ZodObject
  statuses: readonly [string, ...string[]]
  /** What it is called by in a path. */
  id: z.ZodType<string>
  /** The field that says whose it is: names of people are asked of the vault, and are never as of a moment. */
  namedBy?: string
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
  {
    kind: 'user',
    plural: 'users',
    notFound: 'user-not-found',
    row: userRow,
    statuses: ['invited', 'active', 'deactivated', 'erased'],
    id,
    namedBy: 'userId',
    live: personName,
  },
  {
    kind: 'service-account',
    stored: 'serviceaccount',
    plural: 'service-accounts',
    notFound: 'service-account-not-found',
    row: serviceAccountRow,
    statuses: ['active', 'disabled'],
    id,
  },
  {
    kind: 'api-key',
    stored: 'apikey',
    plural: 'api-keys',
    notFound: 'api-key-not-found',
    row: apiKeyRow,
    statuses: ['active', 'revoked'],
    id,
  },
  {
    kind: 'session',
    plural: 'sessions',
    notFound: 'session-not-found',
    row: sessionRow,
    statuses: ['active', 'ended'],
    id,
    namedBy: 'userId',
    live: personName,
  },
]

/** The kind that read models know it by. */
export const storedKind = ({ kind, stored = kind }: Kind): string => stored

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

type Item = Record<string, unknown>

async function withPresence(db: Query, items: readonly Item[]): Promise<Item[]> {
  const presence = await presenceOf(
    db,
    items.map(item => String(item.executorId)),
  )
  return items.map(item => ({ ...item, ...presence(String(item.executorId)) }))
}

async function withNames(names: Names, field: string, items: readonly Item[]): Promise<Item[]> {
  const known = await names.of(items.map(item => String(item[field])))
  return items.map(item => ({ ...item, ...known.get(String(item[field])) }))
}

type Deps = { http: HttpServer; reader: Reader; names: Names }

/** The fields that the log does not know, of things as they are now. */
async function withLive(names: Names, type: ResourceType, db: Query, items: readonly Item[]): Promise<readonly Item[]> {
  if (!type.live) return items
  return type.namedBy === undefined ? await withPresence(db, items) : await withNames(names, type.namedBy, items)
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

export function registerResources(deps: Deps): void {
  for (const type of resourceTypes) {
    registerList(deps, type)
    registerItem(deps, type)
  }
}

function registerList({ http, reader, names }: Deps, type: ResourceType): void {
  const { kind, plural, row, statuses, live } = type
  const common = {
    limit,
    cursor,
    sort: sortParameter(sorts),
    asOf,
    status: z.enum(statuses).optional(),
    name: z.string().min(1).max(120).optional().describe('Part of the name, in any case'),
  }
  const labels = labelExpression.optional().describe('For example env=prod,role in (web,db),!legacy')
  const byLogin = loginName.optional().describe('The whole of it; nobody else knows it but the vault')
  const query = z.strictObject({
    ...common,
    ...(kind === 'target' && { labels }),
    ...(kind === 'user' && { loginName: byLogin }),
  })
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
      // Every list takes what these schemas have in common.
      const given = query as ListQuery
      const id = given.loginName === undefined ? undefined : ((await names.find(given.loginName)) ?? null)
      if (id === null) return { body: { items: [], next: null } }
      const { items, next } = await list(db, type, { ...given, id }, holder)
      return { body: { items: query.asOf ? items : await withLive(names, type, db, items), next } }
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
  loginName?: string | undefined
  id?: string | undefined
}

async function list(db: Query, type: ResourceType, query: ListQuery, holder: Holder) {
  const view = viewOf(type.row)
  const sort = sortNamed(sorts, query.sort)
  const conditions = new Conditions()
  conditions.add('kind = ?', storedKind(type))
  conditions.add('visible')
  validAt(conditions, query.asOf)
  if (query.id !== undefined) conditions.add('id = ?', query.id)
  if (query.status !== undefined) conditions.add('status = ?', query.status)
  if (query.name !== undefined) conditions.add('strpos(lower(name), lower(?)) > 0', query.name)
  if (typeof query.labels === 'string') matchLabels(conditions, query.labels)
  onlyVisible(conditions, holder, type, query.asOf)
  after(conditions, sort, query.cursor)
  const most = conditions.parameter(query.limit + 1)
  const rows = await db<VersionRow>(
    `select ${versionColumns} from read_model.resource_version where ${conditions.text} ${orderBy(sort)} limit ${most}`,
    conditions.values,
  )
  const values = (row: VersionRow) => sort.columns.map(column => (column.sql === 'name' ? row.name : row.id))
  return page(rows, query.limit, { sort, values, view })
}

function registerItem({ http, reader, names }: Deps, type: ResourceType): void {
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
      const version = found(await versionAt(db, holder, type, params.id, query.asOf), notFound)
      const item: Item = viewOf(row)(version)
      const [shown] = query.asOf ? [item] : await withLive(names, type, db, [item])
      return { body: shown, revision: version.revision }
    },
  })
}

type Seeing = Pick<Holder, 'actor' | 'scopes'>

/** What somebody may see as it is now they may see as it ever was; what they may not, not. */
type Kind = { kind: string; stored?: string }

function onlyVisible(conditions: Conditions, holder: Seeing, type: Kind, when: string | undefined): void {
  const { kind } = type
  const now = when === undefined ? conditions : conditions.within()
  onlyPermitted(now, holder, `${kind}:read`, ofVersions(kind))
  if (kind === 'credential') onlyOwnCredentials(now, holder)
  if (when === undefined || now.isEmpty) return
  const kindNow = conditions.parameter(storedKind(type))
  conditions.add(
    `id in (select id from read_model.resource_version where kind = ${kindNow} and valid_to is null and ${now.text})`,
  )
}

/** The version that is valid now or was then; none when there was none yet, or it may not be seen. */
export async function versionAt(
  db: Query,
  holder: Seeing,
  type: Kind,
  id: string,
  when: string | undefined,
): Promise<VersionRow[]> {
  const conditions = new Conditions()
  conditions.add('kind = ?', storedKind(type))
  conditions.add('id = ?', id)
  conditions.add('visible')
  validAt(conditions, when)
  onlyVisible(conditions, holder, type, when)
  return await db<VersionRow>(
    `select ${versionColumns} from read_model.resource_version where ${conditions.text} order by revision desc limit 1`,
    conditions.values,
  )
}
