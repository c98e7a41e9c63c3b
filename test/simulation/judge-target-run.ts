import { deciders, fold } from '../../command-api/domain/index.ts'
import { isTargetRunFinished } from '../../command-api/domain/target-run-state.ts'
import { rulesOf } from '../../command-api/domain/workflow/plan.ts'
import type { StepRule } from '../../schemas/target-run.ts'
import { judgeClaims } from './judge-claims.ts'
import { ended, only, type Say, type TargetCase } from './record.ts'
import type { Told } from './sim-log.ts'
import type { World } from './world.ts'

/** What was promised about one target of a run. */
export function judgeTargetRun(of: TargetCase, world: World, say: Say): void {
  const { runId, n, events } = of
  const told: Say = what => say(`${runId.slice(0, 8)}.${n}: ${what}`)
  judgeClaims(of, world, told)
  terminalIsTerminal(events, told)
  attempts(of, told)
  order(of, told)
  recovery(of, told)
  success(of, told)
  times(events, told)
  fromStep(of, told)
}

function terminalIsTerminal(events: readonly Told[], say: Say): void {
  const end = events.findIndex(event => ended.has(event.type))
  if (end < 0) return
  const after = events.slice(end + 1).filter(event => event.type !== 'ReportRejectedStaleEpoch')
  if (after.length > 0) say(`after its end came ${after.map(event => event.type)}`)
}

const rulesFor = ({ version, run }: TargetCase): StepRule[] => rulesOf(version, run.requested.parameters ?? {})

/** Every start of a step beyond the first needs a reason that lies in the log. */
function attempts(of: TargetCase, say: Say): void {
  const { events, run } = of
  const rules = rulesFor(of)
  const starts = only(events, 'StepStarted')
  const seen = new Map<string, number>()
  for (const start of starts) {
    const { stepId, attempt, epoch } = start.data
    const before = events.slice(0, events.indexOf(start))
    if (seen.has(`${stepId} ${attempt}`)) say(`attempt ${attempt} of ${stepId} was started twice`)
    seen.set(`${stepId} ${attempt}`, epoch)
    if (only(before, 'TargetRunClaimed').at(-1)?.data.epoch !== epoch) say(`${stepId} was started by an old claim`)
    const most = rules.find(({ id }) => id === stepId)?.retry?.attempts
    const again = only(before, 'StepRetryScheduled').findLast(event => event.data.stepId === stepId)
    if (again && (most === undefined || again.data.attempt >= most)) say(`${stepId} was tried more than ${most} times`)
    const earlier = only(before, 'StepStarted').findLast(event => event.data.stepId === stepId)
    if (!earlier) continue
    const since = before.slice(before.indexOf(earlier))
    const rule = rules.find(({ id }) => id === stepId)
    if (!mayFollow(since, stepId, rule)) say(`${stepId} was started again without a reason`)
    if (run.requested.plan && over(before, stepId)) say(`${stepId} was started although it was over`)
  }
}

/** Told to have failed, said by its check or by a person, or declared to do no harm. */
function mayFollow(since: readonly Told[], stepId: string, rule: StepRule | undefined): boolean {
  if (rule?.idempotent && only(since, 'StepOutcomeUnknown').length > 0) return true
  return since.some(event => {
    switch (event.type) {
      case 'StepRetryScheduled':
        return event.data.stepId === stepId && event.data.started && rule?.retry !== undefined
      case 'StepChecked':
        return event.data.stepId === stepId && event.data.verdict === 'did-not-happen' && rule?.checkable === true
      case 'StepResolved':
        return event.data.stepId === stepId && event.data.as === 'retry'
      default:
        return false
    }
  })
}

const over = (events: readonly Told[], stepId: string): boolean =>
  only(events, 'StepSucceeded', 'StepFailed', 'StepSkipped', 'StepCancelled').some(e => e.data.stepId === stepId)

/** Steps of the plan come in its order, and nothing is left out in between. */
function order({ events, run }: TargetCase, say: Say): void {
  const plan = (run.requested.plan ?? []).filter(({ gate }) => !gate).map(({ id }) => id)
  const finished = new Set<string>()
  for (const event of events) {
    if (event.type === 'StepStarted' || event.type === 'StepWaitStarted') {
      const at = plan.indexOf(event.data.stepId)
      const missing = plan.slice(0, Math.max(0, at)).filter(id => !finished.has(id))
      if (missing.length > 0) say(`${event.data.stepId} was begun before ${missing} were over`)
    }
    if ('stepId' in event.data && typeof event.data.stepId === 'string' && isOver(event))
      finished.add(event.data.stepId)
  }
}

function isOver(event: Told): boolean {
  switch (event.type) {
    case 'StepSucceeded':
    case 'StepFailed':
    case 'StepSkipped':
    case 'StepCancelled':
    case 'StepWaitEnded':
      return true
    case 'StepChecked':
      return event.data.verdict === 'happened'
    case 'StepResolved':
      return event.data.as !== 'retry'
    default:
      return false
  }
}

/** What succeeded is undone in reverse order, then the handlers; nothing of it without a failure. */
function recovery(of: TargetCase, say: Say): void {
  const { events } = of
  const rules = rulesFor(of)
  const later = new Set(rules.filter(({ phase = 'main' }) => phase !== 'main').map(({ id }) => id))
  const started = only(events, 'CompensationStarted')
  const begins = only(events, 'StepStarted').filter(event => later.has(event.data.stepId))
  const [first] = started
  if (started.length > 1) say('it was undone twice')
  if (!first) {
    if (begins.length > 0) say(`${begins[0]?.data.stepId} was done without a failure`)
    return
  }
  const succeeded = succeededBefore(events, first)
  const undo = rules.filter(rule => succeeded.has(rule.id)).flatMap(({ undo }) => (undo === undefined ? [] : [undo]))
  const handlers = rules.filter(({ phase }) => phase === 'handler').map(({ id }) => id)
  const due = [...undo.reverse(), ...handlers]
  if (due.join() !== first.data.steps.join()) say(`${first.data.steps} are to be done after the failure, not ${due}`)
  const firsts = [...new Set(begins.map(event => event.data.stepId))]
  if (firsts.join() !== due.filter(id => firsts.includes(id)).join()) say(`it was undone in the order ${firsts}`)
}

function succeededBefore(events: readonly Told[], until: Told): Set<string> {
  const before = events.slice(0, events.indexOf(until))
  return new Set([
    ...only(before, 'StepSucceeded').map(event => event.data.stepId),
    ...only(before, 'StepWaitEnded').map(event => event.data.stepId),
    ...only(before, 'StepChecked').flatMap(({ data }) => (data.verdict === 'happened' ? [data.stepId] : [])),
    ...only(before, 'StepResolved').flatMap(({ data }) => (data.as === 'succeeded' ? [data.stepId] : [])),
  ])
}

/** It succeeded only if every step did, was left out, or was allowed to fail. */
function success({ events }: TargetCase, say: Say): void {
  const state = fold(deciders.targetRun, events as never[])
  if (state.status === 'absent') return
  if (events.some(event => ended.has(event.type)) !== isTargetRunFinished(state)) say(`it is ${state.status}`)
  if (state.status !== 'succeeded') return
  for (const { id, phase = 'main', continueOnError } of state.steps) {
    if (phase !== 'main') continue
    const outcome = state.ended[id]?.outcome
    const fine = outcome === 'succeeded' || outcome === 'skipped' || (outcome === 'failed' && continueOnError)
    if (!fine) say(`it succeeded although ${id} is ${outcome}`)
  }
}

/** Nothing comes before its time. */
function times(events: readonly Told[], say: Say): void {
  for (const [i, event] of events.entries()) {
    if (event.type === 'StepWaitEnded') {
      const begin = only(events.slice(0, i), 'StepWaitStarted').at(-1)
      if (begin && event.metadata.at < begin.data.until) say(`the wait ${event.data.stepId} ended early`)
    }
    if (event.type === 'TargetRunClaimed') {
      const before = only(events.slice(0, i), 'StepRetryScheduled', 'StepStarted', 'StepResolved').at(-1)
      // What one process may do by its clock another may not yet.
      const early = before?.type === 'StepRetryScheduled' && Date.parse(before.data.notBefore) - MAX_SKEW_MS
      if (early !== false && Date.parse(event.metadata.at) < early) say('it was tried again early')
    }
  }
}

/** A rerun begins where it was asked to. */
function fromStep({ events, run }: TargetCase, say: Say): void {
  const { fromStep: first, plan = [] } = run.requested
  if (first === undefined) return
  const at = plan.findIndex(({ id }) => id === first || id.startsWith(`${first}.`))
  const before = new Set(plan.slice(0, Math.max(0, at)).map(({ id }) => id))
  for (const { data } of only(events, 'StepStarted'))
    if (before.has(data.stepId)) say(`${data.stepId} was done although the run begins at ${first}`)
}

const MAX_SKEW_MS = 400
