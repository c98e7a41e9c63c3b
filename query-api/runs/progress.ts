import { z } from 'zod'
import { runRow } from '../../schemas/run-rows.ts'
import type { Query } from '../reader.ts'
import { countsOf, type RunDbRow } from './views.ts'

/** Runs of the same job, and target runs of each, that an estimate is made from. */
const EARLIER_RUNS = 5
const TARGET_RUNS = 100

export const progress = z.object({
  percent: z.int().describe('Of the target runs, how many have ended'),
  counts: runRow.shape.counts,
  perMinute: z.number().nullable().describe('Target runs that ended, per minute since the start'),
  estimatedSecondsLeft: z
    .int()
    .nullable()
    .describe('From what a target run took in earlier runs of the job; null without any, and once the run has ended'),
})
export type Progress = z.output<typeof progress>

/** How far a run is: from its own counters, never by counting its target runs. */
export async function progressOf(db: Query, row: RunDbRow & { elapsed: number | null }): Promise<Progress> {
  const counts = countsOf(row)
  const ended = row.succeeded + row.failed + row.cancelled
  const minutes = row.elapsed === null ? 0 : row.elapsed / 60
  return {
    percent: Math.floor((100 * ended) / row.targets),
    counts,
    perMinute: minutes > 0 ? Math.round((10 * ended) / minutes) / 10 : null,
    estimatedSecondsLeft: row.finished_at === null ? await secondsLeft(db, row) : null,
  }
}

async function secondsLeft(db: Query, row: RunDbRow): Promise<number | null> {
  const [found] = await db<{ seconds: number | null }>(MEDIAN, [row.job_id, row.requested_commit])
  if (found?.seconds == null) return null
  const left = row.queued + row.waiting + row.running
  const most = typeof row.max_parallel === 'number' ? row.max_parallel : row.targets
  const atOnce = Math.max(1, Math.min(most, row.running > 0 ? row.running : most))
  return Math.ceil((left / atOnce) * found.seconds)
}

export const MEDIAN = `
  select percentile_disc(0.5) within group (order by extract(epoch from t.finished_at - t.started_at))::float8 as seconds
  from (select run_id from read_model.run where job_id = $1 and requested_commit < $2::bigint and finished_at is not null
        order by requested_commit desc limit ${EARLIER_RUNS}) earlier
  cross join lateral (
    select started_at, finished_at from read_model.target_run t
    where t.run_id = earlier.run_id and t.status = 'succeeded' and t.started_at is not null
    order by n limit ${TARGET_RUNS}) t`
