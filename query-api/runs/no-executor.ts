import { matchesLabels, parseLabelExpression } from '../../schemas/label-expression.ts'
import { isRunOver } from '../../schemas/run.ts'
import type { Query } from '../reader.ts'
import type { RunDbRow } from './views.ts'

type Wanting = Pick<RunDbRow, 'queued' | 'waiting'> & { status: string; pool: string | null; executors: string | null }

/** Why no enrolled executor can take what is left of a run; null when one can, or nothing is left to be taken. */
export async function noExecutorFor(db: Query, run: Wanting): Promise<string | null> {
  if (isRunOver(run.status) || run.queued + run.waiting === 0) return null
  const pool = run.pool ?? 'default'
  const rows = await db<{ labels: Record<string, string> }>(
    `select state->'labels' as labels from read_model.resource_version
     where kind = 'executor' and valid_to is null and status = 'enrolled' and state->>'pool' = $1`,
    [pool],
  )
  const wanted = parseLabelExpression(run.executors ?? '')
  if (rows.some(({ labels }) => run.executors === null || (wanted && matchesLabels(wanted, labels)))) return null
  const that = run.executors === null ? '' : ` with the labels ${run.executors}`
  return `no executor matches: none${that} is enrolled in the pool ${pool} and not draining`
}
