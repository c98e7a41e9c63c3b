import type { ActiveRun, Counts } from './active-run.ts'

export type Action =
  | { type: 'start-run' }
  | { type: 'finish-run'; counts: Counts }
  | { type: 'cancel-target-run'; n: number }

/**
 * What is due for a run, from its state alone: asked again after every change, and after a failure again. Target runs
 * that were never claimed have no stream to write to; the counts of the run's end carry them as cancelled.
 */
export function nextActions(run: ActiveRun): Action[] {
  switch (run.status) {
    case 'ended':
      return []
    case 'queued':
      return run.everClaimed ? [{ type: 'start-run' }] : []
    case 'running':
      return run.ended === run.request.targets ? [{ type: 'finish-run', counts: run.counts() }] : []
    case 'cancelling': {
      const requeued = [...run.requeued].map(n => ({ type: 'cancel-target-run' as const, n }))
      if (requeued.length > 0 || run.claims.size > 0 || run.reserved > 0) return requeued
      return [{ type: 'finish-run', counts: run.counts() }]
    }
  }
}
