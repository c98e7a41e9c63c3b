import { z } from 'zod'
import type { HttpServer } from '../../infra/http/index.ts'
import { id, sha256 } from '../../schemas/kernel.ts'
import { stepRunStatus } from '../../schemas/run-rows.ts'
import { stepRunId } from '../../schemas/steps/base.ts'
import { attempt, n } from '../../schemas/target-run.ts'
import { after, Conditions, cursor, intValue, limit, orderBy, page, pageOf, type Sort, textValue } from '../paging.ts'
import type { Query, Reader } from '../reader.ts'
import { found, registerRead } from '../route.ts'
import { runById } from './item.ts'
import { byNumber } from './target-runs.ts'

/** Larger outputs are not read to be compared: for them the digest counts that was sealed over both streams. */
const COMPARED_BYTES = 65_536
const SHOWN_BYTES = 8_192
const SHOWN_TARGETS = 100

/** The newest ended attempt of a step on each target, with the digest its output is known by. $1 run, $2 step. */
const SAID = `
  with newest as materialized (
    select distinct on (n) n, attempt, status, exit_code, output_bytes, output_sha256 from read_model.step_run
    where run_id = $1 and step_id = $2 and finished_at is not null and output_sha256 is not null
    order by n, attempt desc),
  small as materialized (
    select l.n, encode(sha256(coalesce(
        string_agg(o.data, ''::bytea order by o.seq) filter (where o.stream = 'stdout'), ''::bytea)), 'hex') as digest
    from newest l left join output.run_output o
      on o.run_id = $1 and o.n = l.n and o.step_id = $2 and o.attempt = l.attempt
    where l.output_bytes <= ${COMPARED_BYTES} group by l.n),
  said as (
    select l.*, coalesce(s.digest, l.output_sha256) as digest, s.digest is not null as of_stdout
    from newest l left join small s using (n)),
  result as (
    select digest, bool_and(of_stdout) as of_stdout, count(*)::int as count, min(n) as first,
      count(*) filter (where status = 'succeeded')::int as succeeded,
      (array_agg(n order by n))[1:${SHOWN_TARGETS}] as shown
    from said group by digest)`

const mostCommonFirst: Sort = {
  name: 'count',
  columns: [
    { sql: 'count', type: 'int', value: intValue },
    { sql: 'digest', type: 'text', value: textValue },
  ],
  descending: true,
}

const target = z.object({ n, targetId: id, targetName: z.string().nullable() })
const result = z.object({
  sha256: sha256.describe('Of what was printed to stdout; of the whole output where `of` says so'),
  of: z.enum(['stdout', 'output']),
  count: z.int().describe('Targets on which the step printed this'),
  succeeded: z.int(),
  targets: z.array(target).describe(`The first ${SHOWN_TARGETS} of them`),
  sample: z.base64().describe(`The first ${SHOWN_BYTES} bytes of it, masked as all output is`),
  truncated: z.boolean().describe('There is more of it than the sample'),
})
type ResultDbRow = {
  digest: string
  of_stdout: boolean
  count: number
  succeeded: number
  shown: number[]
  sample: Buffer | null
  bytes: string
}
const params = z.strictObject({ id })
const step = stepRunId.describe('The step whose outputs are compared')

/** What a step printed, each distinct output once with the targets that printed it. */
export function registerResults(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/runs/:id/results',
    operationId: 'get-run-results',
    tag: 'runs',
    summary: 'The distinct outputs of a step with the targets that gave them, most common first',
    description: `Outputs of up to ${COMPARED_BYTES} bytes are the same when their stdout is; larger ones when all of it is.`,
    permission: 'run:read',
    projection: 'state',
    params,
    query: z.strictObject({ step, limit: limit.pipe(z.number().max(50)).default(20), cursor }),
    answer: { description: 'A page', schema: pageOf(result) },
    problems: ['run-not-found'],
    async handle({ params, query, db, holder }) {
      found(await runById(db, holder, params.id), 'run-not-found')
      const rows = await results(db, params.id, query)
      const targets = await targetsOf(db, params.id, rows)
      const values = (row: ResultDbRow) => [row.count, row.digest]
      return { body: page(rows, query.limit, { sort: mostCommonFirst, values, view: row => view(row, targets) }) }
    },
  })
  registerResultTargets(http, reader)
}

async function results(db: Query, runId: string, query: { step: string; limit: number; cursor?: string | undefined }) {
  const conditions = new Conditions()
  conditions.values.push(runId, query.step)
  after(conditions, mostCommonFirst, query.cursor)
  const most = conditions.parameter(query.limit + 1)
  return await db<ResultDbRow>(
    `${SAID}
     select digest, of_stdout, count, succeeded, shown, sample.data as sample, sample.bytes
     from (select * from result where ${conditions.text} ${orderBy(mostCommonFirst)} limit ${most}) result
     cross join lateral (
       select substring(string_agg(substring(data for ${SHOWN_BYTES}), ''::bytea order by seq) for ${SHOWN_BYTES}) as data,
         coalesce(sum(octet_length(data)), 0) as bytes
       from (select o.seq, o.data from output.run_output o join newest l on l.n = result.first and l.attempt = o.attempt
             where o.run_id = $1 and o.n = result.first and o.step_id = $2 and o.stream = 'stdout'
             order by o.seq limit 64) chunk) sample
     ${orderBy(mostCommonFirst)}`,
    conditions.values,
  )
}

type Target = z.output<typeof target>

async function targetsOf(db: Query, runId: string, rows: readonly ResultDbRow[]): Promise<ReadonlyMap<number, Target>> {
  const numbers = rows.flatMap(row => row.shown)
  const found = await db<{ n: number; target_id: string; target_name: string | null }>(
    'select n, target_id, target_name from read_model.target_run where run_id = $1 and n = any($2::int[])',
    [runId, numbers],
  )
  return new Map(found.map(row => [row.n, { n: row.n, targetId: row.target_id, targetName: row.target_name }]))
}

const view = (row: ResultDbRow, targets: ReadonlyMap<number, Target>) => ({
  sha256: row.digest,
  of: row.of_stdout ? 'stdout' : 'output',
  count: row.count,
  succeeded: row.succeeded,
  targets: row.shown.flatMap(n => targets.get(n) ?? []),
  sample: (row.sample ?? Buffer.alloc(0)).toString('base64'),
  truncated: Number(row.bytes) > (row.sample?.length ?? 0),
})

const resultTarget = target.extend({ attempt, status: stepRunStatus, exitCode: z.int().nullable() })

function registerResultTargets(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/runs/:id/results/:sha256/targets',
    operationId: 'list-result-targets',
    tag: 'runs',
    summary: 'Every target on which a step printed the same',
    permission: 'run:read',
    projection: 'state',
    params: z.strictObject({ id, sha256 }),
    query: z.strictObject({ step, limit, cursor }),
    answer: { description: 'A page', schema: pageOf(resultTarget) },
    problems: ['run-not-found'],
    async handle({ params, query, db, holder }) {
      found(await runById(db, holder, params.id), 'run-not-found')
      const conditions = new Conditions()
      conditions.values.push(params.id, query.step)
      conditions.add('digest = ?', params.sha256)
      after(conditions, byNumber, query.cursor)
      const most = conditions.parameter(query.limit + 1)
      const rows = await db<Record<string, unknown> & { n: number }>(
        `${SAID}
         select said.n, said.attempt, said.status, said.exit_code, t.target_id, t.target_name
         from (select * from said where ${conditions.text} ${orderBy(byNumber)} limit ${most}) said
         join read_model.target_run t on t.run_id = $1 and t.n = said.n order by said.n`,
        conditions.values,
      )
      return { body: page(rows, query.limit, { sort: byNumber, values: row => [row.n], view: resultTargetView }) }
    },
  })
}

const resultTargetView = (row: Record<string, unknown> & { n: number }) => ({
  n: row.n,
  targetId: row.target_id,
  targetName: row.target_name,
  attempt: row.attempt,
  status: row.status,
  exitCode: row.exit_code === null ? null : Number(row.exit_code),
})
