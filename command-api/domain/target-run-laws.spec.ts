import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  type TargetRunCommand,
  type TargetRunEvent,
  targetRunCommands,
  targetRunEvents,
  targetRunPublicCommands,
} from '../../schemas/target-run.ts'
import { specMeta } from '../../test/support/decider-spec.ts'
import { DomainError } from './decider.ts'
import { targetRun } from './target-run.ts'
import { isTargetRunFinished, MAX_ATTEMPTS, nextAttempt, remainingSteps, type TargetRun } from './target-run-state.ts'

const where = { runId: '0192d3c4-5e6f-7a8b-9c0d-000000000001', n: 0 }
const targetId = '0192d3c4-5e6f-7a8b-9c0d-00000000000a'
const at = '2030-01-01T00:00:00.000Z'
const output = { bytes: 0, chunks: 0, sha256: 'a'.repeat(64), truncated: false }
const steps = [
  { id: 'once', idempotent: false, continueOnError: false },
  { id: 'again', idempotent: true, continueOnError: true },
]

/** A command as some executor, dispatcher or watchdog might send it: true, late, doubled or nonsense. */
const commandAt = (state: TargetRun): fc.Arbitrary<TargetRunCommand> => {
  const epoch = state.status === 'absent' ? 1 : state.epoch
  const near = fc.constantFrom(epoch, epoch, epoch, epoch - 1, epoch + 1).map(e => Math.max(1, e))
  const anyStep = fc.record({ stepId: fc.constantFrom('once', 'again'), attempt: fc.integer({ min: 1, max: 3 }) })
  const step = fc
    .tuple(fc.oneof({ weight: 3, arbitrary: fc.constant(likely(state)) }, { weight: 1, arbitrary: anyStep }), near)
    .map(([s, e]) => ({ ...where, ...s, epoch: e, at }))
  const about = near.map(e => ({ ...where, epoch: e }))
  const claim = {
    ...where,
    targetId,
    steps,
    executorId: 'a',
    executorKey: 'k'.repeat(43),
    leaseSeconds: 15,
    target: { name: 'a', address: 'a', port: 22 },
  }
  const late = { seq: 1, detail: 'x' }
  return fc.oneof(
    { weight: 4, arbitrary: fc.constant({ type: 'claim-target-run' as const, data: claim }) },
    { weight: 10, arbitrary: step.map(data => ({ type: 'start-step' as const, data })) },
    {
      weight: 4,
      arbitrary: step.map(data => ({ type: 'succeed-step' as const, data: { ...data, seq: 1, output, exitCode: 0 } })),
    },
    {
      weight: 2,
      arbitrary: step.map(data => ({
        type: 'fail-step' as const,
        data: { ...data, ...late, output, class: 'exit-nonzero' as const },
      })),
    },
    { weight: 2, arbitrary: step.map(data => ({ type: 'report-step-lost' as const, data: { ...data, ...late } })) },
    { weight: 2, arbitrary: about.map(data => ({ type: 'expire-lease' as const, data })) },
    {
      weight: 1,
      arbitrary: about.map(data => ({ type: 'hand-back-target-run' as const, data: { ...data, ...late } })),
    },
    {
      weight: 1,
      arbitrary: about.map(data => ({
        type: 'fail-target-run' as const,
        data: { ...data, ...late, at, class: 'refused' as const },
      })),
    },
    {
      weight: 1,
      arbitrary: about.map(data => ({
        type: 'report-cancelled' as const,
        data: { ...data, ...late, at, termination: 'terminated' as const },
      })),
    },
    {
      weight: 1,
      arbitrary: fc.constant({
        type: 'end-unclaimed-target-run' as const,
        data: { ...where, targetId, why: 'cancelled' as const },
      }),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(step, fc.constantFrom('succeeded' as const, 'failed' as const, 'retry' as const))
        .map(([{ stepId }, as]) => ({
          type: 'resolve-step' as const,
          data: { ...where, stepId, as, reason: 'looked at it' },
        })),
    },
    {
      weight: 2,
      arbitrary: step.map(({ at: _, ...data }) => ({
        type: 'report-check' as const,
        data: { ...data, at, seq: 1, verdict: 'did-not-happen' as const, detail: 'x' },
      })),
    },
  )
}

/** The step that is running or due: what an honest executor would speak of. */
function likely(state: TargetRun): { stepId: string; attempt: number } {
  if (state.status === 'running') return { stepId: state.stepId, attempt: state.attempt }
  const stepId = (state.status !== 'absent' && remainingSteps(state)[0]?.id) || 'once'
  return { stepId, attempt: state.status === 'absent' ? 1 : nextAttempt(state, stepId) }
}

type Told = { state: TargetRun; events: TargetRunEvent[]; before: TargetRun; decided: TargetRunEvent[] }

/** Runs random commands and hands each accepted decision to `check`. */
function always(t: Test, check: (told: Told) => void): void {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.gen(), fc.integer({ min: 1, max: 60 }), (next, length) => {
        let state: TargetRun = targetRun.initial
        const events: TargetRunEvent[] = []
        for (let i = 0; i < length; i += 1) {
          const command = next(commandAt, state)
          const before = state
          const decided = decide(command, state)
          events.push(...decided)
          state = decided.reduce(targetRun.evolve, state)
          check({ state, events, before, decided })
        }
      }),
      { numRuns: 300 },
    ),
  )
}

function decide(command: TargetRunCommand, state: TargetRun): TargetRunEvent[] {
  try {
    return targetRun.decide(command, state, specMeta, undefined)
  } catch (error) {
    if (error instanceof DomainError) return []
    throw error
  }
}

const schemas = { ...targetRunCommands, ...targetRunPublicCommands }
const schemaOf = (type: keyof typeof schemas) => schemas[type]

const startsOf = (events: TargetRunEvent[]) => events.flatMap(e => (e.type === 'StepStarted' ? [e.data] : []))

t.test('an attempt of a step is started at most once', async t => {
  always(t, ({ events }) => {
    const starts = startsOf(events).map(s => `${s.stepId} ${s.attempt}`)
    if (new Set(starts).size !== starts.length) throw new Error(starts.join())
  })
})
const wordsOf = (events: TargetRunEvent[]) => events.flatMap(e => (e.type === 'StepResolved' ? [e.data] : []))

t.test('a step that is not idempotent is started at most once, whatever was lost, unless a person says so', async t => {
  always(t, ({ events }) => {
    const starts = startsOf(events)
    const allowed = 1 + wordsOf(events).filter(word => word.as === 'retry').length
    if (starts.filter(s => s.stepId === 'once').length > allowed) throw new Error('started twice')
    if (starts.length > allowed + MAX_ATTEMPTS) throw new Error('repeated without end')
  })
})
t.test('terminal is terminal', async t => {
  always(t, ({ before, decided }) => {
    if (isTargetRunFinished(before) && decided.length > 0)
      throw new Error(`${before.status}: ${decided.map(e => e.type)}`)
  })
})
t.test('it ends once, in the state its last event says', async t => {
  always(t, ({ state, events }) => {
    const ends = events.filter(e => /^TargetRun(Succeeded|Failed|Cancelled)$/.test(e.type))
    if (ends.length !== (isTargetRunFinished(state) ? 1 : 0))
      throw new Error(`${state.status}: ${ends.map(e => e.type)}`)
  })
})
t.test('epochs grow by one with every claim', async t => {
  always(t, ({ events }) => {
    const epochs = events.flatMap(e => (e.type === 'TargetRunClaimed' ? [e.data.epoch] : []))
    if (epochs.some((epoch, i) => epoch !== i + 1)) throw new Error(epochs.join())
  })
})
t.test('only the current claim starts steps', async t => {
  always(t, ({ before, decided }) => {
    for (const { epoch } of startsOf(decided))
      if (before.status !== 'claimed' || before.epoch !== epoch) throw new Error(`epoch ${epoch} in ${before.status}`)
  })
})
t.test('every event fits its schema', async t => {
  always(t, ({ decided }) => {
    for (const event of decided) targetRunEvents[event.type].parse(event.data)
  })
})
t.test('the commands tried here are commands, and lead everywhere', async t => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(commandAt(targetRun.initial), command => schemaOf(command.type).safeParse(command.data).success),
    ),
  )
  const reached = new Set<string>()
  always(t, ({ state, events }) => {
    reached.add(state.status)
    for (const { attempt } of startsOf(events)) reached.add(`attempt ${attempt}`)
  })
  const places = ['claimable', 'claimed', 'running', 'succeeded', 'failed', 'cancelled', 'needs-attention']
  for (const place of [...places, 'attempt 2']) t.ok(reached.has(place), place)
})
