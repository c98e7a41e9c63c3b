import { deciders, fold, isFinished } from '../../command-api/domain/index.ts'
import { acceptedFailures, batchEnds } from '../../reactors/runs/strategy.ts'
import { streams } from '../../schemas/events.ts'
import { runEndedAs } from '../../schemas/run.ts'
import { judgeRerun } from './judge-rerun.ts'
import { begun, byTargetRun, type Case, ended, only, placeOf, type Say } from './record.ts'
import type { Told } from './sim-log.ts'
import { ROUGH_MS, type World } from './world.ts'

/** What was promised about a run as a whole. */
export function judgeRun(of: Case, world: World, report: Say): void {
  const say: Say = what => report(`${of.runId.slice(0, 8)}: ${what}`)
  const targets = byTargetRun(of, world)
  endsOnce(of, say)
  nothingAfter(of, targets, say)
  if (isFinished(of.run)) countsAddUp(of, targets, world, say)
  batches(of, targets, say)
  barriers(of, targets, world, say)
  failures(of, targets, world, say)
  pauses(of, targets, world, say)
  allSeen(of, targets, world, say)
  approvals(of, say)
  timeLimit(of, say)
  subRuns(of, world, say)
  gates(of, say)
  judgeRerun(of, world, say)
}

type Targets = ReturnType<typeof byTargetRun>

function endsOnce({ events }: Case, say: Say): void {
  const end = events.findIndex(event => runEndedAs(event.type) !== undefined)
  if (end >= 0 && end < events.length - 1) say(`after its end came ${events.slice(end + 1).map(event => event.type)}`)
}

/** Whoever ends a run gives nothing of it out any more. */
function nothingAfter({ events }: Case, targets: Targets, say: Say): void {
  const end = events.find(event => runEndedAs(event.type) !== undefined)
  for (const [n, told] of end ? targets : [])
    for (const claim of only(told, 'TargetRunClaimed'))
      if (end && claim.by === end.by && placeOf(claim) > placeOf(end)) say(`${n} was given out after the end`)
}

/** The counts a run ended with are those of its target runs; none is lost, none is there twice. */
function countsAddUp({ events, run }: Case, targets: Targets, world: World, say: Say): void {
  const last = events.at(-1)
  if (!last || !('counts' in last.data) || !last.data.counts) return
  const heardAt = (event: Told) => world.hearing.heardAt(last.by, event) ?? NEVER
  const told = targets.flatMap(([, events]) => events).filter(event => placeOf(event) < placeOf(last))
  const known = told.filter(event => event.by !== last.by && heardAt(event) <= last.asked)
  const countsUpTo = (place: bigint) => {
    const upTo = (event: Told) => placeOf(event) < placeOf(last) && (event.by === last.by || placeOf(event) <= place)
    const statuses = targets.map(([, events]) => fold(deciders.targetRun, events.filter(upTo) as never[]).status)
    const count = (...wanted: string[]) => statuses.filter(status => wanted.includes(status)).length
    return [count('succeeded'), count('failed'), count('cancelled', 'absent'), count('needs-attention')].join()
  }
  const { succeeded, failed, cancelled, needsAttention } = last.data.counts
  const said = [succeeded, failed, cancelled, needsAttention].join()
  // What others wrote in the last moment the one who ended it may not have been told when it decided so, or in part.
  const surely = known.filter(event => heardAt(event) <= last.asked - UNDER_WAY_MS)
  const places = [lastPlace(surely), ...known.filter(event => !surely.includes(event)).map(placeOf)]
  if (!places.some(place => countsUpTo(place) === said))
    say(`it ended ${run.status} with the counts ${said}; they are ${countsUpTo(lastPlace(known))}`)
  if (run.status === 'succeeded' && failed + cancelled + needsAttention > 0) say('it succeeded although not all did')
  if (targets.length !== run.requested.targets) say('it lost targets')
}

/** Whoever is told of the log is told of it in its order: to know of one event is to know of all before it. */
const lastPlace = (events: readonly Told[]) =>
  events.reduce((last, event) => (placeOf(event) > last ? placeOf(event) : last), 0n)

const beginOf = (events: readonly Told[]) => events.find(event => begun.has(event.type))
const endOf = (events: readonly Told[]) => events.find(event => ended.has(event.type))

/** A batch begins when the one before it is over. */
function batches({ run }: Case, targets: Targets, say: Say): void {
  const ends = batchEnds(run.requested.strategy?.batches, run.requested.targets)
  const batchOf = (n: number) => ends.findIndex(end => n < end)
  for (const [n, events] of targets) {
    const begin = beginOf(events)
    if (!begin) continue
    for (const [m, others] of targets) {
      if (batchOf(m) >= batchOf(n)) continue
      const end = endOf(others)
      if (!end || placeOf(end) > placeOf(begin)) say(`${n} was begun before ${m} of the batch before was over`)
    }
  }
}

/** No target begins a step behind a barrier before all that may have begun are over with everything before it. */
function barriers(of: Case, targets: Targets, world: World, say: Say): void {
  const { run, events } = of
  const plan = run.requested.plan ?? []
  const ends = batchEnds(run.requested.strategy?.batches, run.requested.targets)
  const stopped = only(events, 'RunStopped').length > 0
  for (const [n, told] of targets) {
    const scope = ends.find(end => n < end) ?? run.requested.targets
    for (const start of only(told, 'StepStarted')) {
      const at = plan.findIndex(({ id }) => id === start.data.stepId)
      if (!plan[at]?.barrier) continue
      const before = plan.slice(firstOf(run), at).filter(({ gate }) => !gate)
      for (const [m, others] of targets.slice(0, scope)) {
        // Of a run that was stopped only those count that had begun by then.
        if (stopped && others.every(event => placeOf(event) > placeOf(start))) continue
        const missing = before.find(({ id }) => !isPast({ of, m, others, world }, id, placeOf(start)))
        if (missing) say(`${n} began ${start.data.stepId} before ${m} was over with ${missing.id}`)
      }
    }
  }
}

/** The place in the plan where a rerun begins. */
function firstOf({ requested: { fromStep, plan = [] } }: Case['run']): number {
  if (fromStep === undefined) return 0
  return Math.max(
    0,
    plan.findIndex(({ id }) => id === fromStep || id.startsWith(`${fromStep}.`)),
  )
}

type Other = { of: Case; m: number; others: readonly Told[]; world: World }

/** It was over with the step by then, or will never do it: steps left out are written down only with what follows. */
function isPast(other: Other, stepId: string, place: bigint): boolean {
  const { others } = other
  const by = others.filter(event => placeOf(event) < place)
  if (by.some(event => ended.has(event.type) || event.type === 'CompensationStarted')) return true
  const state = fold(deciders.targetRun, by as never[])
  return (state.status !== 'absent' && Object.hasOwn(state.ended, stepId)) || isLeftOut(other, stepId, by)
}

function isLeftOut({ of, m, others, world }: Other, stepId: string, by: readonly Told[]): boolean {
  if (only(others, 'StepSkipped').some(({ data }) => data.stepId === stepId)) return true
  const step = of.version.steps.find(({ id }) => id === stepId.split('.')[0])
  const rack = world.scenario.targets.find(({ targetId }) => targetId === of.run.targetIds[m])?.rack
  if (step?.on && step.on.labels !== `rack=${rack}`) return true
  const asked = /steps\["(s\d)"\]/.exec(step?.if ?? '')?.[1]
  if (asked === undefined) return false
  return !only(by, 'StepSucceeded').some(({ data }) => data.stepId.split('.')[0] === asked)
}

/** Once too many failed and that was known, nothing new is begun. */
function failures({ run, events }: Case, targets: Targets, world: World, say: Say): void {
  const accepted = acceptedFailures(run.requested.strategy?.maxFailures, run.requested.targets)
  const [stop] = only(events, 'RunStopped')
  const failed = targets
    .flatMap(([, told]) => only(told, 'TargetRunFailed'))
    .sort((a, b) => Number(placeOf(a) - placeOf(b)))
  const tooMany = failed[accepted]
  if (stop && (!tooMany || placeOf(tooMany) > placeOf(stop))) say('it was stopped although few had failed')
  if (!tooMany) return
  for (const [n, told] of targets) {
    const begin = beginOf(told)
    const known = begin && [tooMany, ...(stop ? [stop] : [])].map(event => world.hearing.heardAt(begin.by, event))
    const since = known && Math.max(...known.map(at => at ?? Number.POSITIVE_INFINITY))
    if (begin && since !== undefined && begin.asked > since + UNDER_WAY_MS)
      say(`${n} was begun although too many had failed`)
  }
}

/** As many different people as were asked for, in time. */
function approvals({ events }: Case, say: Say): void {
  for (const asked of only(events, 'ApprovalRequested')) {
    const { stepId, quorum, expiresAt } = asked.data
    const grants = only(events, 'ApprovalGranted').filter(({ data }) => data.stepId === stepId)
    if (grants.some(({ metadata }) => metadata.at >= expiresAt)) say(`${stepId} was approved too late`)
    const [reached] = only(events, 'ApprovalQuorumReached').filter(({ data }) => data.stepId === stepId)
    const people = new Set(grants.filter(grant => !reached || placeOf(grant) < placeOf(reached)).map(g => g.data.by))
    if (reached && people.size < quorum) say(`${people.size} people approved ${stepId}, ${quorum} are needed`)
  }
}

/** A run succeeds only with the steps that are done once for all of it. */
function gates({ run }: Case, say: Say): void {
  if (run.status !== 'succeeded') return
  for (const { id, gate } of run.requested.plan ?? [])
    if (gate && run.gates[id]?.status !== 'passed') say(`it succeeded although ${id} is ${run.gates[id]?.status}`)
}

/** A run that a step triggered is one, and how it ended is what the step came to. */
function subRuns({ runId, run, events }: Case, world: World, say: Say): void {
  for (const { data } of only(events, 'SubRunTriggered')) {
    const below = world.log.stream(streams.run(data.subRunId))
    const [asked] = only(below, 'RunRequested')
    if (asked?.data.parent?.runId !== runId || asked.data.parent.stepId !== data.stepId)
      say(`${data.stepId} triggered a run that does not know of it`)
    const [closed, ...more] = only(events, 'SubRunEnded').filter(event => event.data.stepId === data.stepId)
    if (more.length > 0) say(`${data.stepId} ended twice`)
    if (isFinished(run) && !closed) say(`it ended although the run that ${data.stepId} triggered went on`)
    const end = below.find(event => runEndedAs(event.type) !== undefined)
    if (closed && (!end || placeOf(end) > placeOf(closed) || runEndedAs(end.type) !== closed.data.status))
      say(`${data.stepId} is ${closed.data.status}, the run it triggered ${end?.type}`)
  }
  const triggered = only(events, 'SubRunTriggered').map(({ data }) => data.stepId)
  if (new Set(triggered).size < triggered.length) say(`it triggered one run twice: ${triggered}`)
}

/** Past its time a run is stopped, and what is under way is given a little while. */
function timeLimit({ run, events }: Case, say: Say): void {
  const seconds = run.requested.timeouts?.runSeconds
  const [started] = only(events, 'RunStarted')
  const last = events.at(-1)
  if (seconds === undefined || !started || !last) return
  const due = Math.max(started.landed + seconds * 1_000, ROUGH_MS)
  const stopped = only(events, 'RunCancellationRequested').some(event => event.landed < due + STOPPED_MS)
  if (last.landed > due + STOPPED_MS && !stopped) say('its time was over and it went on')
}

const NEVER = Number.POSITIVE_INFINITY
const STOPPED_MS = 3_000

/** While it was known to be paused nothing was given out. */
function pauses({ events }: Case, targets: Targets, world: World, say: Say): void {
  for (const pause of only(events, 'RunPaused')) {
    const resume = only(events, 'RunResumed').find(event => placeOf(event) > placeOf(pause))
    for (const [n, told] of targets) {
      for (const claim of only(told, 'TargetRunClaimed')) {
        const heard = world.hearing.heardAt(claim.by, pause)
        if (heard === undefined || claim.asked < heard + UNDER_WAY_MS) continue
        if (!resume || claim.asked < resume.landed) say(`${n} was given out while the run was paused`)
      }
    }
  }
}

/** A step that looks at the outputs of all targets saw every one there was. */
function allSeen({ runId, run, version }: Case, targets: Targets, world: World, say: Say): void {
  for (const effect of world.effects.all) {
    if (effect.runId !== runId || effect.variables.opsc_1 === undefined) continue
    const step = version.steps.find(({ id }) => id === effect.stepId)
    const asked = step?.uses === 'ssh.command' && /all\["(s\d)"\]/.exec(step.with.command)?.[1]
    if (!asked || run.requested.strategy?.batches) continue
    const place = only(world.log.all, 'StepStarted').find(
      ({ data }) =>
        data.runId === runId && data.n === effect.n && data.stepId === effect.stepId && data.attempt === effect.attempt,
    )
    const there = targets
      .flatMap(([, told]) => only(told, 'StepSucceeded'))
      .filter(({ data }) => data.stepId.split('.')[0] === asked && data.outputs)
      .filter(event => place && placeOf(event) < placeOf(place)).length
    if (String(there) !== effect.variables.opsc_1)
      say(`${effect.n} saw ${effect.variables.opsc_1} outputs of ${asked}, not ${there}`)
  }
}

const UNDER_WAY_MS = 3_000
