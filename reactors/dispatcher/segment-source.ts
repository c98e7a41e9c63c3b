import { type CommandOf, type Progress, remainingSteps, type TargetRun } from '../../command-api/domain/index.ts'
import { stepsBefore } from '../../command-api/domain/workflow/order.ts'
import { rulesOf } from '../../command-api/domain/workflow/plan.ts'
import type { OutputValues } from '../../command-api/domain/workflow/scope.ts'
import { nextSegment, type Segment, type SegmentInput } from '../../command-api/domain/workflow/segment.ts'
import { streams } from '../../schemas/events.ts'
import type { JobVersion } from '../../schemas/job.ts'
import type { StepRule } from '../../schemas/target-run.ts'
import type { Commands } from '../commands.ts'
import type { ActiveRun } from '../runs/active-run.ts'

export type TargetOf = SegmentInput['target']
type Skipped = NonNullable<Extract<CommandOf<'targetRun'>, { type: 'claim-target-run' }>['data']['skip']>
export type Next = { rules: StepRule[]; remaining: StepRule[]; segment: Omit<Segment, 'skip'> & { skip: Skipped } }
type Active = Pick<Commands, 'active'>
type Aggregate = NonNullable<SegmentInput['all']>

const rulesOfRuns = new WeakMap<ActiveRun, StepRule[]>()
const aggregates = new WeakMap<ActiveRun, { place: string; all: Promise<Aggregate> }>()
const AT_ONCE = 64
const nothing: Pick<Progress, 'ended' | 'recovery'> = { ended: {}, recovery: undefined }

/** What comes next on one target, as far as it can be told now. Throws EventStoreUnavailable. */
export async function nextOf(
  commands: Active,
  { run, n, version, target, now }: { run: ActiveRun; n: number; version: JobVersion; target: TargetOf; now: string },
): Promise<Next> {
  const state = run.hasBegun(n) ? await commands.active(streams.targetRun(run.runId, n)) : absent
  const rules = rulesFor(run, version)
  const { ended, recovery } = state.status === 'absent' ? nothing : state
  const left = remainingSteps({ steps: rules, ended, recovery })
  const early = recovery ? [] : beforeFirst(run, version, left)
  const remaining = left.slice(early.length)
  const { runId, jobId, jobName, jobVersion, targets, initiator } = run.request
  const input: SegmentInput = {
    ...{ version, parameters: run.request.parameters ?? {}, target, rules: remaining, ended, now },
    run: { id: runId, jobId, jobName, jobVersion, targets, initiator: initiator.id },
    ...(recovery && {
      failure: { class: recovery.class, detail: recovery.detail, stepId: recovery.failedStep ?? '' },
    }),
    mayBegin: stepId => run.mayBegin(stepId),
  }
  const first = nextSegment(input)
  const segment = first.needsAll
    ? nextSegment({ ...input, all: await aggregate(commands, run, remaining[0]?.id ?? '') })
    : first
  const skip = [...early.map(({ id }) => ({ stepId: id, why: 'before-first-step' as const })), ...segment.skip]
  return { rules, remaining: left, segment: { ...segment, skip } }
}

const absent: TargetRun = { status: 'absent' }

function rulesFor(run: ActiveRun, version: JobVersion): StepRule[] {
  const known = rulesOfRuns.get(run)
  if (known) return known
  const rules = rulesOf(version, run.request.parameters ?? {})
  rulesOfRuns.set(run, rules)
  return rules
}

/** Of a rerun from a later step: what counts as done. It is the beginning of what is left. */
function beforeFirst({ request }: ActiveRun, { steps }: JobVersion, left: readonly StepRule[]): StepRule[] {
  const before = stepsBefore(steps, request.fromStep)
  return left.filter(({ id }) => before.has(id.split('.', 1)[0] ?? id))
}

/** The outputs of steps over all targets. What a barrier lets through is final, so it is gathered once for each. */
function aggregate(commands: Active, run: ActiveRun, place: string): Promise<Aggregate> {
  const known = aggregates.get(run)
  if (known?.place === place) return known.all
  const all = gather(commands, run)
  aggregates.set(run, { place, all })
  all.catch(() => aggregates.delete(run))
  return all
}

async function gather(commands: Active, run: ActiveRun): Promise<Aggregate> {
  const outputs = new Map<string, Record<string, OutputValues[string][number][]>>()
  const begun = run.targetIds.map((_, n) => n).filter(n => run.hasBegun(n))
  for (let from = 0; from < begun.length; from += AT_ONCE) {
    const part = begun.slice(from, from + AT_ONCE).map(n => commands.active(streams.targetRun(run.runId, n)))
    for (const state of await Promise.all(part)) if (state.status !== 'absent') collect(state, outputs)
  }
  return stepId => outputs.get(stepId) ?? {}
}

function collect({ ended }: Progress, into: Map<string, Record<string, OutputValues[string][number][]>>): void {
  for (const [stepId, step] of Object.entries(ended)) {
    if (step.outcome !== 'succeeded') continue
    const lists = into.get(stepId) ?? {}
    into.set(stepId, lists)
    for (const [name, value] of Object.entries(step.outputs ?? {})) lists[name] = [...(lists[name] ?? []), value]
  }
}
