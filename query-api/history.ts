import { z } from 'zod'
import type { HttpServer } from '../infra/http/index.ts'
import { actorSchema, id, instant } from '../schemas/kernel.ts'
import { asOf } from './as-of.ts'
import { after, bigintValue, Conditions, cursor, limit, orderBy, page, pageOf, type Sort } from './paging.ts'
import type { Query, Reader } from './reader.ts'
import { fieldsOf, type ResourceType, resourceTypes, storedKind, versionAt } from './resources.ts'
import { found, registerRead } from './route.ts'

type Origin = {
  revision: string
  event_id: string
  event_type: string
  valid_from: string
  valid_from_time: string
  actor: unknown
  reason: string | null
}
const originColumns = 'revision, event_id, event_type, valid_from, valid_from_time, actor, reason'
const origin = {
  revision: z.string(),
  eventId: id,
  eventType: z.string(),
  at: instant,
  position: z.string(),
  actor: actorSchema,
  reason: z.string().nullable(),
}
const originOf = (row: Origin) => ({
  revision: row.revision,
  eventId: row.event_id,
  eventType: row.event_type,
  at: row.valid_from_time,
  position: row.valid_from,
  actor: row.actor,
  reason: row.reason,
})

const newestFirst: Sort = {
  name: '-revision',
  columns: [{ sql: 'revision', type: 'bigint', value: bigintValue }],
  descending: true,
}

/** Every version of a resource, and for each field who set it, when and why. */
export function registerHistory(http: HttpServer, reader: Reader): void {
  for (const type of resourceTypes) {
    registerVersions(http, reader, type)
    registerBlame(http, reader, type)
  }
}

function registerVersions(http: HttpServer, reader: Reader, type: ResourceType): void {
  const { kind, plural, row, notFound } = type
  const version = z.object({ ...origin, changed: z.array(z.string()), state: row })
  registerRead(http, reader, {
    url: `/v1/${plural}/:id/history`,
    operationId: `history-of-${kind}`,
    tag: plural,
    summary: `Every version of a ${kind}, newest first`,
    permission: `${kind}:read`,
    projection: 'state',
    params: z.strictObject({ id: type.id }),
    query: z.strictObject({ limit, cursor }),
    answer: { description: 'A page', schema: pageOf(version) },
    problems: [notFound],
    async handle({ params, query, db, holder }) {
      found(await versionAt(db, holder, type, params.id, undefined), notFound)
      return { body: await versions(db, storedKind(type), params.id, query, row) }
    },
  })
}

type Version = Origin & { changed: string[]; state: Record<string, unknown> }

async function versions(
  db: Query,
  kind: string,
  resource: string,
  query: { limit: number; cursor?: string | undefined },
  fields: z.ZodObject,
) {
  const conditions = new Conditions()
  conditions.add('kind = ?', kind)
  conditions.add('id = ?', resource)
  conditions.add('visible')
  after(conditions, newestFirst, query.cursor)
  const most = conditions.parameter(query.limit + 1)
  const rows = await db<Version>(
    `select ${originColumns}, changed, state from read_model.resource_version
     where ${conditions.text} ${orderBy(newestFirst)} limit ${most}`,
    conditions.values,
  )
  return page(rows, query.limit, {
    sort: newestFirst,
    values: row => [row.revision],
    view: row => ({ ...originOf(row), changed: row.changed, state: fieldsOf(fields, row.state) }),
  })
}

function registerBlame(http: HttpServer, reader: Reader, type: ResourceType): void {
  const { kind, plural, notFound, row: shape } = type
  const fields = z.record(z.string(), z.object({ value: z.unknown(), ...origin }))
  registerRead(http, reader, {
    url: `/v1/${plural}/:id/blame`,
    operationId: `blame-${kind}`,
    tag: plural,
    summary: `Which event set each field of a ${kind}, by whom and why`,
    permission: `${kind}:read`,
    projection: 'state',
    params: z.strictObject({ id: type.id }),
    query: z.strictObject({ asOf }),
    answer: {
      description: 'By field; tags one by one',
      schema: z.object({ id: type.id, revision: z.string(), fields }),
    },
    problems: [notFound],
    async handle({ params, query, db, holder }) {
      const current = found(await versionAt(db, holder, type, params.id, query.asOf), notFound)
      const values = flat(fieldsOf(shape, current.state))
      const rows = await origins(db, storedKind(type), params.id, current.revision)
      const known = rows.filter(row => Object.hasOwn(values, row.field))
      const fields = known.map(row => [row.field, { value: values[row.field], ...originOf(row) }])
      const { revision } = current
      return { body: { id: params.id, revision, fields: Object.fromEntries(fields) }, revision }
    },
  })
}

/** For each field the newest version, up to this revision, that changed it. */
async function origins(db: Query, kind: string, resource: string, revision: string) {
  return await db<Origin & { field: string }>(
    `select distinct on (field) field, ${originColumns}
     from read_model.resource_version, jsonb_array_elements_text(changed) field
     where kind = $1 and id = $2 and revision <= $3
     order by field, revision desc`,
    [kind, resource, revision],
  )
}

function flat(state: Record<string, unknown>): Record<string, unknown> {
  const { tags, ...rest } = state
  const each = Object.entries((tags ?? {}) as Record<string, unknown>)
  return { ...rest, ...Object.fromEntries(each.map(([key, value]) => [`tags.${key}`, value])) }
}
