import { deciders, fold } from '../../command-api/domain/index.ts'
import { only, placeOf, type Say, type TargetCase } from './record.ts'
import type { Told } from './sim-log.ts'
import type { World } from './world.ts'

/** What was promised about who may work on one target of a run, and until when. */
export function judgeClaims(of: TargetCase, world: World, say: Say): void {
  effects(of, world, say)
  startsWereAllowed(of, world, say)
  claims(of.events, say)
  leases(of.events, say)
  wantedStopped(of, world, say)
  revoked(of, world, say)
}

/** What happened on the target was permitted first, once for each permission, and a success really took effect. */
function effects({ runId, n, events }: TargetCase, world: World, say: Say): void {
  const mine = world.effects.all.filter(effect => effect.runId === runId && effect.n === n)
  const done = new Set<string>()
  for (const { stepId, attempt, at, executorId } of mine) {
    const key = `${stepId} ${attempt}`
    if (done.has(key)) say(`attempt ${attempt} of ${stepId} took effect twice`)
    done.add(key)
    const permitted = only(events, 'StepStarted').find(e => e.data.stepId === stepId && e.data.attempt === attempt)
    if (!permitted || permitted.landed > at)
      say(`attempt ${attempt} of ${stepId} took effect before its start was written`)
    const lost = only(events, 'LeaseExpired').find(e => e.data.epoch === permitted?.data.epoch)
    if (lost && lost.landed < at && !isRevoked(world, executorId, lost))
      say(`attempt ${attempt} of ${stepId} took effect after its lease was given up`)
  }
  for (const { data } of only(events, 'StepSucceeded'))
    if (!done.has(`${data.stepId} ${data.attempt}`)) say(`${data.stepId} counts as done and never was`)
}

/** What it holds is over at once: nobody waits until it cannot have missed that. */
const isRevoked = (world: World, executorId: string, by: Told): boolean =>
  only(world.log.all, 'ExecutorRevoked').some(e => e.data.executorId === executorId && placeOf(e) < placeOf(by))

/** Whoever decided a start had not been told that the run, or this target of it, was to stop. */
function startsWereAllowed({ runId, run, events }: TargetCase, world: World, say: Say): void {
  const ofRun = world.log.stream(`run-${runId}`)
  const stops = [...only(ofRun, 'RunCancellationRequested'), ...only(events, 'TargetRunCancellationRequested')]
  for (const start of only(events, 'StepStarted')) {
    const arrived = world.hearing.arrivedAt(start.by, start.metadata.commandId)
    for (const stop of stops) {
      const heard = world.hearing.heardAt(start.by, stop)
      if (heard !== undefined && arrived !== undefined && heard < arrived)
        say(`${start.data.stepId} was started after ${start.by} knew of ${stop.type} (${run.status})`)
    }
    for (const gate of gatesBefore(start.data.stepId, run.requested.plan ?? [])) {
      const passed = ofRun.find(event => letsPass(event, gate))
      if (!passed || placeOf(passed) > placeOf(start)) say(`${start.data.stepId} was started before ${gate} was passed`)
    }
  }
}

function letsPass(event: Told, gate: string): boolean {
  if (event.type === 'SubRunEnded') return event.data.stepId === gate && event.data.status === 'succeeded'
  if (event.type === 'RunStepSkipped') return event.data.stepId === gate
  return event.type === 'ApprovalQuorumReached' && event.data.stepId === gate
}

function gatesBefore(stepId: string, plan: ReadonlyArray<{ id: string; gate?: true | undefined }>): string[] {
  const at = plan.findIndex(({ id }) => id === stepId)
  return plan.slice(0, Math.max(0, at)).flatMap(({ id, gate }) => (gate ? [id] : []))
}

/** Each claim is a new one of something that was free, and only what is said for the newest counts. */
function claims(events: readonly Told[], say: Say): void {
  let epoch = 0
  let state = deciders.targetRun.initial
  for (const event of events) {
    if (event.type === 'TargetRunClaimed') {
      if (state.status !== 'absent' && state.status !== 'claimable') say(`it was claimed while it was ${state.status}`)
      if (event.data.epoch !== epoch + 1) say(`after claim ${epoch} came claim ${event.data.epoch}`)
      epoch = event.data.epoch
    } else if (ofClaim.has(event.type) && 'epoch' in event.data && event.data.epoch !== epoch)
      say(`${event.type} of claim ${event.data.epoch} came during claim ${epoch}`)
    if (event.type === 'TargetRunHandedBack' && state.status === 'running') say('it was given back while a step ran')
    state = deciders.targetRun.evolve(state, event as never)
  }
}

const ofClaim: ReadonlySet<string> = new Set<Told['type']>([
  ...(['StepStarted', 'StepSucceeded', 'StepFailed', 'StepAttemptFailed', 'StepCancelled', 'StepChecked'] as const),
  ...(['StepOutcomeUnknown', 'StepRetryScheduled', 'TargetRunHandedBack', 'LeaseExpired'] as const),
])

/** Whoever lost a step says what became of it, in the same breath. */
function leases(events: readonly Told[], say: Say): void {
  for (const [i, event] of events.entries()) {
    if (event.type !== 'LeaseExpired') continue
    const running = fold(deciders.targetRun, events.slice(0, i) as never[]).status === 'running'
    if (running && events[i + 1]?.type !== 'StepOutcomeUnknown') say('a lease ended and nobody asks for its step')
  }
}

/** Somebody wanted it stopped: nothing is given out of it any more, once that was known. */
function wantedStopped({ events }: TargetCase, world: World, say: Say): void {
  const [wanted] = only(events, 'TargetRunCancellationRequested')
  if (!wanted) return
  for (const claim of only(events, 'TargetRunClaimed')) {
    const heard = world.hearing.heardAt(claim.by, wanted)
    if (heard !== undefined && heard + UNDER_WAY_MS < claim.asked) say('it was given out although it was to stop')
  }
}

/** Nothing is given to an executor that is known to be revoked, and nothing that it says counts. */
function revoked({ events }: TargetCase, world: World, say: Say): void {
  for (const revocation of only(world.log.all, 'ExecutorRevoked')) {
    const { executorId } = revocation.data
    const enrolled = only(world.log.all, 'ExecutorEnrolled').find(
      event => event.data.executorId === executorId && placeOf(event) > placeOf(revocation),
    )
    for (const event of events) {
      const given = event.type === 'TargetRunClaimed' && event.data.executorId === executorId
      // What was let in before and found no log for a while may still be written down as rejected: it counts for nothing.
      const counts = event.type !== 'ReportRejectedStaleEpoch'
      const said = counts && event.metadata.actor.kind === 'executor' && event.metadata.actor.id === executorId
      const heard = world.hearing.heardAt(event.by, revocation)
      if ((!given && !said) || heard === undefined || (enrolled && enrolled.landed < event.landed)) continue
      if (event.asked > heard + UNDER_WAY_MS) say(`${event.type} came of ${executorId}, which was known to be revoked`)
    }
  }
}

/** What was decided may take so long on its way to the log. */
const UNDER_WAY_MS = 3_000
