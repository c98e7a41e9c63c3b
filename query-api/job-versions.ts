import { z } from 'zod'
import type { HttpServer } from '../infra/http/index.ts'
import { selection } from '../schemas/job.ts'
import { actorSchema, id, instant, sha256 } from '../schemas/kernel.ts'
import { stepSchema } from '../schemas/steps/index.ts'
import { after, Conditions, cursor, intValue, limit, orderBy, page, pageOf, type Sort } from './paging.ts'
import type { Reader } from './reader.ts'
import { versionAt } from './resources.ts'
import { found, registerRead } from './route.ts'

const jobVersion = z.object({
  jobId: id,
  version: z.int(),
  steps: z.array(stepSchema),
  selection: selection.nullable(),
  credentialId: id.nullable(),
  maxParallel: z.int().nullable(),
  digest: sha256,
  publishedAt: instant,
  position: z.string(),
  actor: actorSchema,
  reason: z.string().nullable(),
})
type Row = {
  job_id: string
  version: number
  definition: Record<string, unknown>
  digest: string
  commit: string
  published_at: string
  actor: unknown
  reason: string | null
}
const view = (row: Row) => ({
  jobId: row.job_id,
  version: row.version,
  ...row.definition,
  digest: row.digest,
  publishedAt: row.published_at,
  position: row.commit,
  actor: row.actor,
  reason: row.reason,
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
    async handle({ params, query, db }) {
      found(await versionAt(db, 'job', params.id, undefined), 'job-not-found')
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
}
