import { z } from 'zod'
import type { HttpServer } from '../infra/http/index.ts'
import { type DefinitionRow, definitionFields, definitionRow } from '../schemas/job.ts'
import { actorSchema, id, instant, sha256 } from '../schemas/kernel.ts'
import { parametersJsonSchema } from '../schemas/parameters-schema.ts'
import { after, Conditions, cursor, intValue, limit, orderBy, page, pageOf, type Sort } from './paging.ts'
import type { Reader } from './reader.ts'
import { versionAt } from './resources.ts'
import { found, registerRead } from './route.ts'

const jobVersion = z.object({
  jobId: id,
  version: z.int(),
  ...definitionRow.shape,
  digest: sha256,
  publishedAt: instant,
  position: z.string(),
  actor: actorSchema,
  reason: z.string().nullable(),
})
type Row = {
  job_id: string
  version: number
  definition: DefinitionRow
  digest: string
  commit: string
  published_at: string
  actor: unknown
  reason: string | null
}
const view = (row: Row) => ({
  jobId: row.job_id,
  version: row.version,
  ...Object.fromEntries(definitionFields.map(field => [field, row.definition[field] ?? null])),
  digest: row.digest,
  publishedAt: row.published_at,
  position: row.commit,
  actor: row.actor,
  reason: row.reason,
})
const oneJobVersion = jobVersion.extend({
  parametersSchema: z
    .record(z.string(), z.unknown())
    .describe('JSON Schema (2020-12) of the parameters, with x-opsconductor-type where a form offers what there is'),
})
const newestFirst: Sort = {
  name: '-version',
  columns: [{ sql: 'version', type: 'int', value: intValue }],
  descending: true,
}

export function registerJobVersions(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/jobs/:id/versions',
    operationId: 'list-job-versions',
    tag: 'jobs',
    summary: 'The immutable versions of a job, newest first',
    permission: 'job:read',
    projection: 'state',
    params: z.strictObject({ id }),
    query: z.strictObject({ limit, cursor }),
    answer: { description: 'A page', schema: pageOf(jobVersion) },
    problems: ['job-not-found'],
    async handle({ params, query, db, holder }) {
      found(await versionAt(db, holder, { kind: 'job' }, params.id, undefined), 'job-not-found')
      const conditions = new Conditions()
      conditions.add('job_id = ?', params.id)
      after(conditions, newestFirst, query.cursor)
      const most = conditions.parameter(query.limit + 1)
      const rows = await db<Row>(
        `select * from read_model.job_version where ${conditions.text} ${orderBy(newestFirst)} limit ${most}`,
        conditions.values,
      )
      return { body: page(rows, query.limit, { sort: newestFirst, values: row => [row.version], view }) }
    },
  })

  registerOneVersion(http, reader)
}

function registerOneVersion(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/jobs/:id/versions/:version',
    operationId: 'get-job-version',
    tag: 'jobs',
    summary: 'One version of a job, with a JSON Schema of its parameters for forms',
    permission: 'job:read',
    projection: 'state',
    params: z.strictObject({ id, version: z.coerce.number().int().min(1) }),
    query: z.strictObject({}),
    answer: { description: 'The version', schema: oneJobVersion },
    problems: ['job-not-found', 'job-version-not-found'],
    async handle({ params, db, holder }) {
      found(await versionAt(db, holder, { kind: 'job' }, params.id, undefined), 'job-not-found')
      const rows = await db<Row>('select * from read_model.job_version where job_id = $1 and version = $2', [
        params.id,
        params.version,
      ])
      const row = found(rows, 'job-version-not-found')
      const parametersSchema = parametersJsonSchema(row.definition.parameters ?? {})
      return { body: { ...view(row), parametersSchema } }
    },
  })
}
