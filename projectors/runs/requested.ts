import type { RunEvent } from '../../schemas/run.ts'
import { unborn } from './life.ts'
import type { RunRequest, RunState, TargetRunState } from './tables.ts'
import type { Of } from './timeline.ts'

type Requested = Extract<Of<RunEvent>, { type: 'RunRequested' }>

/** The row of a run that was just asked for. */
export function requestedRun({ data, metadata, position, revision }: Requested): RunState {
  const { runId, jobId, jobName, jobVersion, initiator, targets } = data
  return {
    ...unborn,
    runId,
    revision: revision.toString(),
    jobId,
    jobName,
    jobVersion,
    initiator,
    initiatorId: initiator.id,
    reason: data.reason ?? null,
    priority: data.priority ?? null,
    pool: data.pool ?? null,
    maxParallel: data.maxParallel ?? null,
    rerunOf: data.rerunOf ?? null,
    parent: data.parent ?? null,
    parentRunId: data.parent?.runId ?? null,
    targets,
    ...{ queued: 0, waiting: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0, needsAttention: 0 },
    requestedAt: metadata.at,
    startedAt: null,
    finishedAt: null,
    requestedCommit: position.commit.toString(),
  }
}

/** What was asked for in full, which never changes. */
export function requestOf({ data }: Requested): RunRequest {
  const { runId, selection, parameters = {}, strategy = {}, timeouts = {}, plan = [] } = data
  const { overlap = null, access = null, executors = null, fromStep = null, confirmed = null } = data
  const { approval = null, authorisedBy = null, runAs = null } = data
  return {
    ...{ runId, selection, parameters, strategy, timeouts, plan, overlap, access, executors, fromStep, confirmed },
    ...{ approval, authorisedBy, runAs },
  }
}

type Place = { runId: string; n: number; targetId: string }
export function queuedTargetRun(place: Place, target: { name: string; address: string } | undefined): TargetRunState {
  return {
    ...place,
    targetName: target?.name ?? null,
    address: target?.address ?? null,
    status: 'queued',
    stepId: null,
    cancelRequested: false,
    executorId: null,
    epoch: null,
    failure: null,
    detail: null,
    due: null,
    startedAt: null,
    finishedAt: null,
  }
}
