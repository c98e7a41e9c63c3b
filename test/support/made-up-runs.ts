import { streams } from '../../schemas/events.ts'
import type { RunEvent } from '../../schemas/run.ts'
import type { TargetRunEvent } from '../../schemas/target-run.ts'
import { digest, type History, ids } from './made-up-log.ts'

const madeUpOutput = { bytes: 12, chunks: 1, sha256: digest('output'), truncated: false }
const AT = '2026-01-01T00:00:00.123456Z'
const LATER = '2026-01-02T00:00:00.000Z'

const rules = (steps: readonly string[]) => steps.map(id => ({ id, idempotent: false, continueOnError: false }))

/** Short ways to say what happened on one target of a run. */
export function onTarget(history: History, run: number, n: number, target: number) {
  const at = { runId: ids.run(run), n }
  const targetId = ids.target(target)
  const add = (event: TargetRunEvent) => history.add(streams.targetRun(at.runId, n), event)
  const key = (stepId: string, attempt = 1, epoch = 1) => ({ ...at, stepId, attempt, epoch })
  const ended = (stepId: string, attempt = 1, epoch = 1) => ({
    ...key(stepId, attempt, epoch),
    ...{ seq: 1, at: AT, output: madeUpOutput },
  })
  const failure = { class: 'exit-nonzero', exitCode: 3, detail: 'exit code 3' } as const
  return {
    add,
    at,
    targetId,
    /** Takes the target run for these steps of all of them. */
    claim: (steps: readonly string[], due: readonly string[], epoch = 1) =>
      add({
        type: 'TargetRunClaimed',
        data: {
          ...{ ...at, targetId, epoch, executorId: 'executor-1', executorKey: 'k'.repeat(43), deadline: LATER },
          steps: rules(steps),
          due: [...due],
          target: { name: `web-${target}`, address: '10.0.0.1', port: 22 },
        },
      }),
    start: (stepId: string, attempt = 1, epoch = 1) =>
      add({ type: 'StepStarted', data: { ...key(stepId, attempt, epoch), at: AT } }),
    succeed: (stepId: string, attempt = 1, epoch = 1) =>
      add({
        type: 'StepSucceeded',
        data: { ...ended(stepId, attempt, epoch), exitCode: 0, outputs: { version: '1.2' } },
      }),
    fail: (stepId: string) => add({ type: 'StepFailed', data: { ...ended(stepId), ...failure } }),
    retry: (stepId: string) => {
      add({ type: 'StepAttemptFailed', data: { ...ended(stepId), ...failure } })
      const data = { ...key(stepId), started: true, class: failure.class, detail: failure.detail, notBefore: LATER }
      add({ type: 'StepRetryScheduled', data })
    },
    lose: (stepId: string) => {
      add({ type: 'StepOutcomeUnknown', data: { ...key(stepId), why: 'lease-expired', detail: 'no heartbeat' } })
      add({ type: 'TargetRunNeedsAttention', data: { ...at, targetId, stepId, detail: 'a person decides' } })
    },
    resolve: (stepId: string, as: 'succeeded' | 'failed' | 'retry') =>
      add({ type: 'StepResolved', data: { ...key(stepId), as, reason: 'looked at it' } }),
    over: () => add({ type: 'TargetRunSucceeded', data: { ...at, targetId } }),
    broken: () => add({ type: 'TargetRunFailed', data: { ...at, targetId, class: 'exit-nonzero', detail: 'no' } }),
  }
}

const counts = (succeeded: number, failed = 0, cancelled = 0, needsAttention = 0) => ({
  succeeded,
  failed,
  cancelled,
  needsAttention,
})

/** One run in which a step is tried again, one waits, one is undone, and one is lost and resolved; with an approval. */
export function eventfulRun(history: History, run: number, targets: readonly [number, number, number]): string {
  const runId = history.request(run, 0, targets)
  const tell = (event: RunEvent) => history.add(streams.run(runId), event)
  tell({ type: 'RunStarted', data: { runId } })
  const [first, second, third] = [0, 1, 2].map(n => onTarget(history, run, n, targets[n] ?? 0))
  if (!first || !second || !third) throw new Error('three targets')
  const steps = ['install', 'check']
  first.claim(steps, ['install'])
  first.start('install')
  first.retry('install')
  tell({ type: 'RunPaused', data: { runId, reason: 'lunch' } })
  tell({ type: 'RunResumed', data: { runId } })
  first.claim(steps, ['install'], 2)
  first.start('install', 2, 2)
  first.succeed('install', 2, 2)
  const gate = { runId, stepId: 'go' }
  tell({ type: 'ApprovalRequested', data: { ...gate, prompt: 'really?', quorum: 2, expiresAt: LATER } })
  for (const [i, by] of ['bob', 'eve'].entries())
    tell({ type: 'ApprovalGranted', data: { ...gate, by, granted: i + 1, reason: 'seen' } })
  tell({ type: 'ApprovalQuorumReached', data: gate })
  first.add({
    type: 'StepWaitStarted',
    data: { ...first.at, targetId: first.targetId, steps: rules(steps), stepId: 'rest', until: LATER },
  })
  first.add({ type: 'StepWaitEnded', data: { ...first.at, stepId: 'rest' } })
  const sub = { runId, stepId: 'other', subRunId: ids.run(900 + run) }
  tell({ type: 'SubRunTriggered', data: { ...sub, jobId: ids.job(1) } })
  tell({ type: 'SubRunEnded', data: { ...sub, status: 'succeeded' } })
  first.over()
  undone(second)
  third.claim(steps, steps)
  third.start('install')
  third.lose('install')
  tell({ type: 'RunNeedsAttention', data: { runId, counts: counts(1, 1, 0, 1) } })
  third.resolve('install', 'succeeded')
  third.add({ type: 'TargetRunCancellationRequested', data: { ...third.at, reason: 'enough' } })
  third.over()
  tell({ type: 'RunPartiallySucceeded', data: { runId, counts: counts(2, 1) } })
  return runId
}

function undone(target: ReturnType<typeof onTarget>): void {
  target.claim(['install', 'check', 'install.undo'], ['install', 'check'])
  target.start('install')
  target.succeed('install')
  target.start('check')
  target.add({ type: 'StepCancellationRequested', data: { ...target.at, stepId: 'check', reason: 'stuck' } })
  target.fail('check')
  const why = { class: 'exit-nonzero', detail: 'exit code 3' } as const
  target.add({ type: 'CompensationStarted', data: { ...target.at, steps: ['install.undo'], ...why } })
  target.claim(['install', 'check', 'install.undo'], ['install.undo'], 2)
  target.start('install.undo', 1, 2)
  target.succeed('install.undo', 1, 2)
  target.add({ type: 'CompensationCompleted', data: { ...target.at, failed: [] } })
  target.broken()
}

/** One run that nobody approved of, and one that took too long: their target runs end with them. */
export function runsThatEndEarly(history: History, run: number, targets: readonly [number, number]): void {
  const refused = history.request(run, 0, targets)
  const gate = { runId: refused, stepId: 'go' }
  const asked = { ...gate, prompt: 'really?', quorum: 1, expiresAt: LATER }
  history.add(streams.run(refused), { type: 'ApprovalRequested', data: asked })
  history.add(streams.run(refused), { type: 'ApprovalDenied', data: { ...gate, reason: 'no' } })
  const rejected = { runId: refused, why: 'approval-denied', detail: 'go was denied' } as const
  history.add(streams.run(refused), { type: 'RunRejected', data: rejected })
  const late = history.request(run + 1, 0, targets)
  history.add(streams.run(late), { type: 'RunStarted', data: { runId: late } })
  const slow = onTarget(history, run + 1, 0, targets[0])
  slow.claim(['install'], ['install'])
  slow.start('install')
  slow.retry('install')
  history.add(streams.run(late), { type: 'ApprovalRequested', data: { ...asked, runId: late } })
  history.add(streams.run(late), { type: 'RunStopped', data: { runId: late, failed: 1 } })
  history.add(streams.run(late), { type: 'RunTimedOut', data: { runId: late, counts: counts(0, 0, 2) } })
}
