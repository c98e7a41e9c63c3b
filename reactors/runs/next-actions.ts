import { JOB_GATE } from '../../schemas/approval.ts'
import { type ActiveRun, attentionOf, type Counts } from './active-run.ts'

type Why = 'cancelled' | 'stopped' | 'timed-out' | 'gate-closed'
export type Action =
  | { type: 'start-run' }
  | { type: 'finish-run'; counts: Counts }
  | { type: 'report-attention'; counts: Counts; resolved: number }
  | { type: 'stop-run'; failed: number }
  | { type: 'time-out-run' }
  | { type: 'end-unclaimed-target-run'; n: number; why: Why }
  | { type: 'time-out-target-run'; n: number }
  | { type: 'end-wait'; n: number; stepId: string }
  | { type: 'open-gate'; stepId: string }
  | { type: 'expire-approval'; stepId: string }
  | { type: 'reject-run' }
  | { type: 'cancel-older'; runId: string }
  | { type: 'close-sub-run'; stepId: string; subRunId: string; status: string }
  | { type: 'cancel-sub-run'; runId: string }
  | { type: 'check-right' }
  | { type: 'give-way' }

/**
 * What is due for a run, from its state and the time alone: asked again after every change, and after a failure
 * again. Target runs that were never claimed have no stream to write to; the counts of the run's end carry them as
 * cancelled.
 */
export function nextActions(run: ActiveRun, now: string): Action[] {
  if (run.status !== 'ended' && !run.isWhole) return []
  switch (run.status) {
    // Somebody's word on a step, or a claim nobody knew of, came when the run had ended: it goes no further.
    case 'ended':
      return endUnclaimed(run, 'cancelled')
    case 'queued':
      if (run.lacksRight) return [{ type: 'check-right' }]
      return mayStart(run) ? [{ type: 'start-run' }, ...goingOn(run, now)] : goingOn(run, now)
    case 'running':
      return goingOn(run, now)
    case 'cancelling':
      return [...endUnclaimed(run, 'cancelled'), ...cancelSubRuns(run), ...subRunsOver(run), ...finished(run)]
  }
}

/** One target of it that somebody wanted left alone does not start a run that waits for an older one. */
const mayStart = (run: ActiveRun): boolean =>
  !run.waitsForOlder && !run.waitsForJobGate && (run.everClaimed || canOpen(run).length > 0)

/** When the run has to be looked at again although nothing happens, an instant. */
export function nextLook(run: ActiveRun): string | undefined {
  if (run.status === 'ended' || run.status === 'cancelling') return undefined
  const instants = [...run.delayed.values()].map(delay => delay.until)
  for (const { status, expiresAt } of run.gates.values()) if (status === 'open' && expiresAt) instants.push(expiresAt)
  const { runSeconds, targetRunSeconds } = run.request.timeouts ?? {}
  if (runSeconds !== undefined && run.startedAt) instants.push(after(run.startedAt, runSeconds))
  if (targetRunSeconds !== undefined)
    for (const at of run.begunAt.values()) if (at !== '') instants.push(after(at, targetRunSeconds))
  return instants.reduce<string | undefined>((first, at) => (first === undefined || at < first ? at : first), undefined)
}

function goingOn(run: ActiveRun, now: string): Action[] {
  const { runSeconds } = run.request.timeouts ?? {}
  if (runSeconds !== undefined && run.startedAt && after(run.startedAt, runSeconds) <= now)
    return [{ type: 'time-out-run' }]
  return [
    ...(run.tooManyFailed && !run.halted ? [{ type: 'stop-run' as const, failed: run.endings.failed }] : []),
    ...overdue(run, now),
    ...waitsOver(run, now),
    ...(run.closed ? endUnclaimed(run, 'gate-closed') : canOpen(run)),
    ...expired(run, now),
    ...subRunsOver(run),
    ...unwanted(run),
    ...finished(run),
    ...attention(run),
  ]
}

/** Target runs that nobody holds and that have a stream are told their end. */
function endUnclaimed(run: ActiveRun, why: Why): Action[] {
  const waiting = [...run.requeued, ...run.held.keys(), ...run.delayed.keys()]
  return waiting.filter(n => run.hasBegun(n)).map(n => ({ type: 'end-unclaimed-target-run', n, why }))
}

const openSubRuns = (run: ActiveRun) =>
  [...run.gates].flatMap(([stepId, { status, subRunId, subRunEnded }]) =>
    status === 'open' && subRunId !== undefined ? [{ stepId, subRunId, ended: subRunEnded }] : [],
  )

const subRunsOver = (run: ActiveRun): Action[] =>
  openSubRuns(run).flatMap(({ stepId, subRunId, ended }) =>
    ended === undefined ? [] : [{ type: 'close-sub-run' as const, stepId, subRunId, status: ended }],
  )

const cancelSubRuns = (run: ActiveRun): Action[] =>
  openSubRuns(run).flatMap(({ subRunId, ended }) =>
    ended === undefined ? [{ type: 'cancel-sub-run' as const, runId: subRunId }] : [],
  )

function finished(run: ActiveRun): Action[] {
  if (run.claims.size > 0 || run.reserved > 0 || openSubRuns(run).length > 0 || gatesLeft(run)) return []
  const attention = run.status === 'cancelling' ? run.attention.size : 0
  const over = run.ended + run.neverBegun + attention === run.request.targets
  return over ? [{ type: 'finish-run', counts: run.counts() }] : []
}

/** Steps of the whole run come yet, although the targets are done: a run succeeds only with them. */
const gatesLeft = (run: ActiveRun): boolean =>
  run.status !== 'cancelling' &&
  !run.halted &&
  run.canSucceed &&
  run.passage.gates.some(({ id }) => run.gates.get(id)?.status !== 'passed')

/** Everything else has ended or waits for that: only people can let it go on. */
function attention(run: ActiveRun): Action[] {
  if (run.attention.size === 0 || !run.idle || canOpen(run).length > 0) return []
  const told = { counts: run.counts(), resolved: run.resolved }
  return attentionOf(told) === run.attentionTold ? [] : [{ type: 'report-attention', ...told }]
}

function waitsOver(run: ActiveRun, now: string): Action[] {
  const over: Action[] = []
  if (run.paused) return over
  for (const [n, { until, wait }] of run.delayed)
    if (wait !== undefined && until <= now) over.push({ type: 'end-wait', n, stepId: wait })
  return over
}

function overdue(run: ActiveRun, now: string): Action[] {
  const { targetRunSeconds } = run.request.timeouts ?? {}
  if (targetRunSeconds === undefined) return []
  const late: Action[] = []
  for (const [n, at] of run.begunAt)
    if (at !== '' && !run.unwanted.has(n) && !run.attention.has(n) && after(at, targetRunSeconds) <= now)
      late.push({ type: 'time-out-target-run', n })
  return late
}

/** Wanted stopped while somebody held it, and free now. */
function unwanted(run: ActiveRun): Action[] {
  const free = [...run.unwanted].filter(n => run.requeued.has(n) || run.delayed.has(n) || run.held.has(n))
  return free.map(n => ({ type: 'end-unclaimed-target-run', n, why: 'cancelled' }))
}

/** Gates that every target of the scope has come to, once the gates before them are passed. */
function canOpen(run: ActiveRun): Action[] {
  if (run.paused || run.waitsForOlder || !run.canSucceed) return []
  if (run.waitsForJobGate) return run.gates.has(JOB_GATE) ? [] : [{ type: 'open-gate', stepId: JOB_GATE }]
  const due: Action[] = []
  for (const { id } of run.passage.gates) {
    const gate = run.gates.get(id)
    if (gate?.status === 'passed') continue
    if (!gate && run.allCameTo(id)) due.push({ type: 'open-gate', stepId: id })
    break
  }
  return due
}

function expired(run: ActiveRun, now: string): Action[] {
  const late: Action[] = []
  for (const [stepId, { status, expiresAt }] of run.gates)
    if (status === 'open' && expiresAt !== undefined && expiresAt <= now) late.push({ type: 'expire-approval', stepId })
  return late
}

const after = (at: string, seconds: number): string => new Date(Date.parse(at) + seconds * 1_000).toISOString()
