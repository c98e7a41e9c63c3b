import { z } from 'zod'
import { type HttpServer, ProblemError } from '../infra/http/index.ts'
import { apiKeyRow } from '../schemas/api-key.ts'
import { sessionRow } from '../schemas/session.ts'
import { Conditions, limit, pageOf } from './paging.ts'
import type { Reader } from './reader.ts'
import { fieldsOf, type VersionRow, versionColumns } from './resources.ts'
import { registerRead } from './route.ts'

type OwnList = {
  path: string
  what: string
  kind: 'session' | 'apikey'
  row: z.ZodObject
  statuses: readonly [string, ...string[]]
  /** Where the user's id stands. */
  owner: string
}

/** What somebody who is signed in has of their own; newest first, without any grant. */
const lists: readonly OwnList[] = [
  {
    ...{ path: 'sessions', what: 'sessions', kind: 'session', row: sessionRow },
    ...{ statuses: ['active', 'ended'], owner: `state->>'userId'` },
  },
  {
    ...{ path: 'api-keys', what: 'API keys', kind: 'apikey', row: apiKeyRow },
    ...{ statuses: ['active', 'revoked'], owner: `state->'owner'->>'id'` },
  },
]

export function registerOwnLists(http: HttpServer, reader: Reader): void {
  for (const { path, what, kind, row, statuses, owner } of lists)
    registerRead(http, reader, {
      url: `/v1/auth/${path}`,
      operationId: `list-own-${path}`,
      tag: 'auth',
      summary: `List one’s own ${what}`,
      permission: 'self:read',
      projection: 'state',
      params: z.strictObject({}),
      query: z.strictObject({ limit, status: z.enum(statuses).optional() }),
      answer: { description: 'The newest of them', schema: pageOf(row) },
      handle: async ({ query, db, holder }) => {
        if (holder.actor.kind !== 'user') throw new ProblemError('forbidden', 'Only for somebody who is signed in')
        const conditions = new Conditions()
        conditions.add('kind = ?', kind)
        conditions.add('valid_to is null')
        conditions.add(`${owner} = ?`, holder.actor.id)
        if (query.status !== undefined) conditions.add('status = ?', query.status)
        const most = conditions.parameter(query.limit)
        const rows = await db<VersionRow>(
          `select ${versionColumns} from read_model.resource_version where ${conditions.text} order by id desc limit ${most}`,
          conditions.values,
        )
        return { body: { items: rows.map(({ state }) => fieldsOf(row, state)), next: null } }
      },
    })
}
