import { streams } from '../../schemas/events.ts'
import { runEndedAs } from '../../schemas/run.ts'
import { begun, byTargetRun, type Case, ended, only, placeOf, type Say } from './record.ts'
import type { Told } from './sim-log.ts'
import type { World } from './world.ts'

/** What was promised about runs and targets beside each other. */
export function judgeSharing(cases: readonly Case[], world: World, say: Say): void {
  overlap(cases, world, say)
  gaveWay(cases, world, say)
  // What only one process keeps in its head is promised only while there is one.
  if (world.scenario.twoDispatchers) return
  exclusive(cases, world, say)
  for (const each of cases) {
    const told: Say = what => say(`${each.runId.slice(0, 8)}: ${what}`)
    parallel(each, world, told)
    groups(each, world, told)
  }
}

type Span = { runId: string; family: string; n: number; from: bigint; to: bigint; alone: boolean }
const NEVER = 2n ** 62n

/** The run nobody's step triggered, which led to this one. */
function familyOf(of: Case, world: World): string {
  const above = of.run.requested.parent?.runId
  const run = above && world.log.run(above)
  return run && run.status !== 'absent' ? familyOf({ ...of, runId: above, run }, world) : of.runId
}

/** From the first step a target run begins until it ends or waits for a person. */
function spansOf(of: Case, world: World, stepByStep = false): Array<Span & { targetId: string }> {
  const { runId, run } = of
  const over = stepByStep ? notRunning : letGo
  const mine = { runId, family: familyOf(of, world), alone: run.requested.access !== 'shared' }
  return byTargetRun(of, world).flatMap(([n, events]) => {
    const spans: Array<Span & { targetId: string }> = []
    let from: bigint | undefined
    const targetId = run.targetIds[n] ?? ''
    for (const event of events) {
      if (event.type === 'StepStarted') from ??= placeOf(event)
      if (from === undefined || !over.has(event.type)) continue
      spans.push({ ...mine, n, targetId, from, to: placeOf(event) })
      from = undefined
    }
    if (from !== undefined) spans.push({ ...mine, n, targetId, from, to: NEVER })
    return spans
  })
}

const letGo: ReadonlySet<string> = new Set([...ended, 'TargetRunNeedsAttention'])
const overlaps = (a: Span, b: Span) => a.from < b.to && b.from < a.to

function exclusive(cases: readonly Case[], world: World, say: Say): void {
  const spans = cases.flatMap(each => spansOf(each, world))
  for (const [i, a] of spans.entries())
    for (const b of spans.slice(i + 1))
      if (a.targetId === b.targetId && a.family !== b.family && (a.alone || b.alone) && overlaps(a, b))
        say(`${a.runId.slice(0, 8)}.${a.n} and ${b.runId.slice(0, 8)}.${b.n} worked on one target at once`)
}

/** Steps that ran at the same time. */
function parallel(of: Case, world: World, say: Say): void {
  const most = of.run.requested.maxParallel
  if (most === undefined) return
  const running = new Set<string>()
  const changes = byTargetRun(of, world)
    .flatMap(([, events]) => events)
    .sort((a, b) => Number(placeOf(a) - placeOf(b)))
  for (const event of changes) {
    if (event.type === 'StepStarted') running.add(event.stream)
    else if (notRunning.has(event.type)) running.delete(event.stream)
    if (running.size > most) say(`${running.size} steps ran at once, ${most} may`)
  }
}
const notRunning: ReadonlySet<string> = new Set<Told['type']>([
  ...(['StepSucceeded', 'StepFailed', 'StepAttemptFailed', 'StepCancelled', 'StepOutcomeUnknown'] as const),
])

/** Targets with the same tag, one after another. */
function groups(of: Case, world: World, say: Say): void {
  const by = of.run.requested.strategy?.serialBy
  if (by === undefined) return
  const rackOf = (targetId: string) => world.scenario.targets.find(each => each.targetId === targetId)?.rack
  // Where targets wait for each other they take turns step by step.
  const joins = (of.run.requested.plan ?? []).some(({ barrier, gate }) => barrier || gate)
  const spans = spansOf(of, world, joins)
  for (const [i, a] of spans.entries())
    for (const b of spans.slice(i + 1))
      if (a.n !== b.n && rackOf(a.targetId) === rackOf(b.targetId) && overlaps(a, b))
        say(`${a.n} and ${b.n} of one ${by} were worked on at once`)
}

/** Only where others are in its way does a run that was triggered give way. */
function gaveWay(cases: readonly Case[], world: World, say: Say): void {
  for (const each of cases) {
    const cancelled = only(each.events, 'RunCancellationRequested').find(({ data }) =>
      /^it and other/.test(data.reason ?? ''),
    )
    if (!cancelled) continue
    const family = familyOf(each, world)
    const goesOn = ({ events }: Case) => {
      const end = events.find(event => runEndedAs(event.type) !== undefined)
      return !end || placeOf(end) > placeOf(cancelled)
    }
    const inItsWay = (other: Case) =>
      familyOf(other, world) !== family &&
      goesOn(other) &&
      (other.version === each.version || other.run.targetIds.some(targetId => each.run.targetIds.includes(targetId)))
    if (!cases.some(inItsWay)) say(`${each.runId.slice(0, 8)} gave way to nobody`)
  }
}

/** A run that waits for older ones of its job begins when they have ended. */
function overlap(cases: readonly Case[], world: World, say: Say): void {
  for (const younger of cases) {
    const rule = younger.run.requested.overlap
    if (rule === undefined || rule === 'allow') continue
    const [asked] = younger.events
    const begins = byTargetRun(younger, world).flatMap(([, events]) => events.filter(event => begun.has(event.type)))
    for (const older of cases) {
      const [before] = older.events
      if (older.version !== younger.version || !before || !asked || placeOf(before) >= placeOf(asked)) continue
      const end = world.log.stream(streams.run(older.runId)).find(event => runEndedAs(event.type) !== undefined)
      for (const begin of begins)
        if (!end || placeOf(end) > placeOf(begin)) say(`${younger.runId.slice(0, 8)} did not wait for an older run`)
    }
  }
}
