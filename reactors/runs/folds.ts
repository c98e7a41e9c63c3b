import type { AnyEvent, Recorded } from '../../schemas/events.ts'
import { type ActiveRun, attentionOf } from './active-run.ts'

type DataOf<T extends AnyEvent['type']> = Extract<AnyEvent, { type: T }>['data']
type Folds = { [T in AnyEvent['type']]?: (run: ActiveRun, data: DataOf<T>, at: string) => void }

const runEnded = (run: ActiveRun) => {
  run.status = 'ended'
}
const requeue = (run: ActiveRun, { n, epoch }: { n: number; epoch: number }) => run.requeue(n, epoch)
const stepOver = (run: ActiveRun, { n, stepId, epoch }: { n: number; stepId: string; epoch: number }) =>
  run.stepOver(n, stepId, epoch)
const closed = (run: ActiveRun, { stepId }: { stepId: string }) => run.gates.set(stepId, { status: 'closed' })

/** What each event changes in what is known of its run. */
const folds: Folds = {
  TargetsResolved: (run, { from, targetIds }) => run.resolve(from, targetIds),
  RunStarted: (run, _data, at) => {
    run.startedAt = at
    if (run.status === 'queued') run.status = 'running'
  },
  RunPaused: run => {
    run.paused = true
  },
  RunResumed: run => {
    run.paused = false
  },
  RunStopped: run => {
    run.stopped = true
  },
  RunCancellationRequested: run => {
    if (run.status !== 'ended') run.status = 'cancelling'
  },
  RunNeedsAttention: (run, data) => {
    run.attentionTold = attentionOf(data)
  },
  RunSucceeded: runEnded,
  RunPartiallySucceeded: runEnded,
  RunFailed: runEnded,
  RunCancelled: runEnded,
  RunTimedOut: runEnded,
  RunRejected: runEnded,
  ApprovalRequested: (run, { stepId, expiresAt, bound }) => run.gates.set(stepId, { status: 'open', expiresAt, bound }),
  ApprovalQuorumReached: (run, { stepId }) =>
    run.gates.set(stepId, { status: 'passed', bound: run.gates.get(stepId)?.bound }),
  ApprovalVoided: (run, { stepId }) => run.gateVoided(stepId),
  ApprovalDenied: closed,
  ApprovalExpired: closed,
  RunStepSkipped: (run, { stepId }) => run.gates.set(stepId, { status: 'passed' }),
  RunStepFailed: closed,
  SubRunTriggered: (run, { stepId, subRunId }) => {
    run.agreementsUsed([stepId])
    run.subRunTriggered(stepId, subRunId)
  },
  SubRunEnded: (run, { stepId, status }) =>
    run.gates.set(stepId, { status: status === 'succeeded' ? 'passed' : 'closed' }),
  TargetRunClaimed: (run, { n, executorId, epoch, due }, at) => {
    run.agreementsUsed(due ?? [])
    run.claimed(n, { executorId, epoch, started: false, left: due?.length })
    run.noteBegin(n, at)
  },
  StepStarted: (run, { n, epoch }) => run.started(n, epoch),
  StepSucceeded: stepOver,
  StepFailed: stepOver,
  StepCancelled: stepOver,
  StepSkipped: (run, { n, stepId }) => run.stepOver(n, stepId),
  StepChecked: (run, data) => {
    if (data.verdict === 'happened') stepOver(run, data)
  },
  StepRetryScheduled: (run, { n, epoch, notBefore }) => {
    if (run.claims.get(n)?.epoch === epoch) run.delay(n, { until: notBefore })
  },
  StepWaitStarted: (run, { n, stepId, until }, at) => {
    run.agreementsUsed([stepId])
    run.delay(n, { until, wait: stepId })
    run.noteBegin(n, at)
  },
  StepWaitEnded: (run, { n, stepId }) => {
    run.stepOver(n, stepId)
    run.freed(n)
  },
  StepResolved: (run, { n, stepId, as }) => {
    if (as !== 'retry') run.stepOver(n, stepId)
    run.resolved += 1
    run.freed(n)
  },
  // It may be the first event of all: what was to be done could not be written down.
  CompensationStarted: (run, { n }, at) => {
    run.fails(n)
    run.noteBegin(n, at)
  },
  StepCancellationRequested: (run, { n, stepId }) => run.unwantedSteps.set(n, stepId),
  StepAttemptFailed: (run, { n }) => run.unwantedSteps.delete(n),
  TargetRunCancellationRequested: (run, { n }) => run.unwanted.add(n),
  TargetRunHandedBack: requeue,
  LeaseExpired: requeue,
  // Where the step may not be repeated, a call for a person follows in the same append.
  StepOutcomeUnknown: requeue,
  TargetRunSucceeded: (run, { n }) => run.end(n, 'succeeded'),
  TargetRunFailed: (run, { n }) => run.end(n, 'failed'),
  TargetRunCancelled: (run, { n }) => run.end(n, 'cancelled'),
  TargetRunNeedsAttention: (run, { n }) => run.needsAttention(n),
}

export function fold(run: ActiveRun, event: Recorded): void {
  // Each entry takes the data of its own type, which the compiler cannot follow through the lookup.
  const apply = folds[event.type] as ((run: ActiveRun, data: Recorded['data'], at: string) => void) | undefined
  apply?.(run, event.data, event.metadata.at)
}
