import { z } from 'zod'
import type { HttpServer } from '../infra/http/index.ts'
import { id } from '../schemas/kernel.ts'
import { runRow, runStatus, stepRunRow, n as targetNumber, targetRunRow, targetRunStatus } from '../schemas/run.ts'
import {
  after,
  bigintValue,
  Conditions,
  cursor,
  intValue,
  limit,
  orderBy,
  page,
  pageOf,
  type Sort,
  sortNamed,
  sortParameter,
} from './paging.ts'
import type { Query, Reader } from './reader.ts'
import { found, registerRead } from './route.ts'

type RunDbRow = Record<string, unknown> & { requested_commit: string; revision: string }
const run = runRow.extend({ revision: z.string(), position: z.string() })
const runView = (row: RunDbRow) => ({
  runId: row.run_id,
  jobId: row.job_id,
  jobName: row.job_name,
  jobVersion: row.job_version,
  status: row.status,
  initiator: row.initiator,
  reason: row.reason,
  targets: row.targets,
  counts: {
    queued: row.queued,
    running: row.running,
    succeeded: row.succeeded,
    failed: row.failed,
    cancelled: row.cancelled,
    needsAttention: row.needs_attention,
  },
  requestedAt: row.requested_at,
  startedAt: row.started_at,
  finishedAt: row.finished_at,
  revision: row.revision,
  position: row.requested_commit,
})

type TargetRunDbRow = Record<string, unknown> & { n: number }
const targetRunView = (row: TargetRunDbRow) => ({
  runId: row.run_id,
  n: row.n,
  targetId: row.target_id,
  targetName: row.target_name,
  address: row.address,
  status: row.status,
  executorId: row.executor_id,
  epoch: row.epoch,
  failure: row.failure,
  detail: row.detail,
  startedAt: row.started_at,
  finishedAt: row.finished_at,
})
const stepRunView = (row: Record<string, unknown>) => ({
  runId: row.run_id,
  n: row.n,
  stepId: row.step_id,
  attempt: row.attempt,
  status: row.status,
  exitCode: row.exit_code === null ? null : Number(row.exit_code),
  signal: row.signal,
  failure: row.failure,
  detail: row.detail,
  outputBytes: row.output_bytes === null ? null : Number(row.output_bytes),
  outputSha256: row.output_sha256,
  startedAt: row.started_at,
  finishedAt: row.finished_at,
})

const requested = [{ sql: 'requested_commit', type: 'bigint', value: bigintValue }] as const
const runSorts: readonly Sort[] = [
  { name: '-requestedAt', columns: requested, descending: true },
  { name: 'requestedAt', columns: requested, descending: false },
]
const byNumber: Sort = { name: 'n', columns: [{ sql: 'n', type: 'int', value: intValue }], descending: false }
const ofRun = z.strictObject({ id })

export function registerRuns(http: HttpServer, reader: Reader): void {
  registerList(http, reader)
  registerItem(http, reader)
  registerTargetRuns(http, reader)
  registerTargetRun(http, reader)
}

function registerList(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/runs',
    operationId: 'list-runs',
    tag: 'runs',
    summary: 'List runs, newest first',
    permission: 'run:read',
    projection: 'state',
    params: z.strictObject({}),
    query: z.strictObject({
      limit,
      cursor,
      sort: sortParameter(runSorts),
      status: runStatus.optional(),
      jobId: id.optional(),
      targetId: id.optional().describe('Runs that ran, or are to run, on this target'),
    }),
    answer: { description: 'A page', schema: pageOf(run) },
    async handle({ query, db }) {
      const sort = sortNamed(runSorts, query.sort)
      const conditions = new Conditions()
      if (query.status !== undefined) conditions.add('status = ?', query.status)
      if (query.jobId !== undefined) conditions.add('job_id = ?', query.jobId)
      const onTarget = 'run_id in (select run_id from read_model.target_run where target_id = ?)'
      if (query.targetId !== undefined) conditions.add(onTarget, query.targetId)
      after(conditions, sort, query.cursor)
      const most = conditions.parameter(query.limit + 1)
      const rows = await db<RunDbRow>(
        `select * from read_model.run where ${conditions.text} ${orderBy(sort)} limit ${most}`,
        conditions.values,
      )
      return { body: page(rows, query.limit, { sort, values: row => [row.requested_commit], view: runView }) }
    },
  })
}

function registerItem(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/runs/:id',
    operationId: 'get-run',
    tag: 'runs',
    summary: 'Show one run',
    permission: 'run:read',
    projection: 'state',
    params: ofRun,
    query: z.strictObject({}),
    answer: { description: 'The run', schema: run },
    problems: ['run-not-found'],
    async handle({ params, db }) {
      const row = found(await runById(db, params.id), 'run-not-found')
      return { body: runView(row), revision: row.revision }
    },
  })
}

const runById = (db: Query, runId: string) => db<RunDbRow>('select * from read_model.run where run_id = $1', [runId])

function registerTargetRuns(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/runs/:id/target-runs',
    operationId: 'list-target-runs',
    tag: 'runs',
    summary: 'How a run goes on each of its targets',
    permission: 'run:read',
    projection: 'state',
    params: ofRun,
    query: z.strictObject({ limit, cursor, status: targetRunStatus.optional() }),
    answer: { description: 'A page', schema: pageOf(targetRunRow) },
    problems: ['run-not-found'],
    async handle({ params, query, db }) {
      found(await runById(db, params.id), 'run-not-found')
      const conditions = new Conditions()
      conditions.add('run_id = ?', params.id)
      if (query.status !== undefined) conditions.add('status = ?', query.status)
      after(conditions, byNumber, query.cursor)
      const most = conditions.parameter(query.limit + 1)
      const rows = await db<TargetRunDbRow>(
        `select * from read_model.target_run where ${conditions.text} ${orderBy(byNumber)} limit ${most}`,
        conditions.values,
      )
      return { body: page(rows, query.limit, { sort: byNumber, values: row => [row.n], view: targetRunView }) }
    },
  })
}

function registerTargetRun(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/runs/:id/target-runs/:n',
    operationId: 'get-target-run',
    tag: 'runs',
    summary: 'How a run goes on one target, step by step',
    permission: 'run:read',
    projection: 'state',
    params: z.strictObject({ id, n: z.coerce.number().pipe(targetNumber) }),
    query: z.strictObject({}),
    answer: { description: 'The target run', schema: targetRunRow.extend({ steps: z.array(stepRunRow) }) },
    problems: ['run-not-found', 'target-run-not-found'],
    async handle({ params, db }) {
      found(await runById(db, params.id), 'run-not-found')
      const at = [params.id, params.n]
      const row = found(
        await db<TargetRunDbRow>('select * from read_model.target_run where run_id = $1 and n = $2', at),
        'target-run-not-found',
      )
      const steps = await db<Record<string, unknown>>(
        'select * from read_model.step_run where run_id = $1 and n = $2 order by started_at, step_id, attempt',
        at,
      )
      return { body: { ...targetRunView(row), steps: steps.map(stepRunView) } }
    },
  })
}
