import fc from 'fast-check'
import t from 'tap'
import {
  type Decider,
  DomainError,
  deciders,
  fold,
  type Message,
  nextAttempt,
  remainingSteps,
  type TargetRun,
} from '../command-api/domain/index.ts'
import { derivedId } from '../infra/ids.ts'
import { type AnyEvent, type Recorded, streams } from '../schemas/events.ts'
import { specMeta } from '../test/support/decider-spec.ts'
import { History } from '../test/support/history.ts'
import { LeaseTable } from './leases/lease-table.ts'
import { ActiveRuns } from './runs/active-runs.ts'
import { nextActions } from './runs/next-actions.ts'

const LEASE = 15_000
const AT = '2026-03-01T12:00:00.000Z'
const output = { bytes: 0, chunks: 0, sha256: 'ab'.repeat(32), truncated: false }
const steps = [
  { id: 'restart', idempotent: false, continueOnError: false },
  { id: 'check', idempotent: true, continueOnError: false },
]
const runIds = ['nightly', 'urgent', 'weekly'].map(name => derivedId('run', name))

/** `granted`: the start is recorded, the effect not yet done; `done`: it is, and not yet reported. */
type Held = { runId: string; n: number; epoch: number; steps: string[]; attempts: Record<string, number>; phase: Phase }
type Phase = 'assigned' | 'granted' | 'done'
type Executor = { id: string; process: number; paused: boolean; held: Held[]; cancelled: Set<string> }

const keyOf = ({ runId, n, epoch }: Pick<Held, 'runId' | 'n' | 'epoch'>) => `${runId}.${n}.${epoch}`

/** The reactors over the pure rules, with a log that is heard late, executors that fail, and a clock of their own. */
class World {
  readonly effects: string[] = []
  readonly executors: Executor[] = ['east', 'west'].map(id => ({
    ...{ id, process: 1, paused: false, held: [], cancelled: new Set<string>() },
  }))
  readonly #history = new History()
  readonly #log: Recorded[] = []
  readonly #byStream = new Map<string, Recorded[]>()
  #heard = 0
  #runs = new ActiveRuns(undefined)
  #leases = new LeaseTable(LEASE)
  #now = 0

  trigger(runId: string, targets: number): void {
    const targetIds = Array.from({ length: targets }, (_, n) => derivedId('target', n))
    const initiator = { kind: 'user', id: 'anna' } as const
    const job = { jobId: derivedId('job', 'deploy'), jobVersion: 1, jobName: 'deploy', selection: { targetIds } }
    this.#append([
      { type: 'RunRequested', data: { runId, ...job, targets, initiator, maxParallel: 3 } },
      { type: 'TargetsResolved', data: { runId, from: 0, targetIds } },
    ])
  }

  cancel(runId: string): void {
    this.#try(() => this.#send(deciders.run, streams.run(runId), { type: 'cancel-run', data: { runId } }))
  }

  /** The reactors hear the next events and do what is due. */
  hear(count: number): void {
    for (const event of this.#log.slice(this.#heard, this.#heard + count)) this.#runs.apply(event)
    this.#heard = Math.min(this.#heard + count, this.#log.length)
    for (const run of [...this.#runs.all()]) {
      for (const action of nextActions(run)) {
        const { runId } = run
        if (action.type === 'cancel-target-run') {
          const data = { runId, n: action.n, targetId: run.targetIds[action.n] ?? '' }
          this.#targetRun({ type: 'cancel-target-run', data })
        } else {
          const data = action.type === 'finish-run' ? { runId, counts: action.counts } : { runId }
          this.#try(() => this.#send(deciders.run, streams.run(runId), { type: action.type, data }))
        }
      }
    }
  }

  pull(executor: Executor, answerLost: boolean): void {
    const reservation = executor.paused || executor.held.length >= 3 ? undefined : this.#runs.reserve()
    if (!reservation) return
    const { run, n } = reservation
    const { runId } = run
    const data = {
      ...{ runId, n, targetId: run.targetIds[n], steps, executorId: executor.id, executorKey: 'k'.repeat(43) },
      ...{ leaseSeconds: 15, target: { name: 'web', address: 'web', port: 22 } },
    }
    if (!this.#targetRun({ type: 'claim-target-run', data })) {
      this.#runs.release(reservation)
      return
    }
    const state = this.#state(runId, n)
    if (state.status === 'absent') throw new Error('claimed and absent')
    const { epoch } = state
    run.claimed(n, { executorId: executor.id, epoch, started: false })
    this.#runs.refresh(run)
    const left = remainingSteps(state).map(step => step.id)
    const attempts = Object.fromEntries(left.map(id => [id, nextAttempt(state, id)]))
    if (!answerLost) executor.held.push({ runId, n, epoch, steps: left, attempts, phase: 'assigned' })
  }

  /** One small move of the first thing it works on; whatever is refused is dropped. */
  work(executor: Executor): void {
    const [held] = executor.held
    if (!held || executor.paused) return
    const [stepId = ''] = held.steps
    const attempt = held.attempts[stepId] ?? 1
    const { runId, n, epoch } = held
    const report = { runId, n, epoch, stepId, attempt, at: AT }
    if (executor.cancelled.has(keyOf(held)) && held.phase !== 'done') {
      const data = { runId, n, epoch, seq: 1, at: AT, termination: 'not-started', detail: 'cancelled' }
      this.#targetRun({ type: 'report-cancelled', data })
      executor.held.shift()
    } else if (held.phase === 'assigned') {
      const run = this.#runs.get(runId)
      const allowed = run?.status === 'queued' || run?.status === 'running'
      if (allowed && this.#targetRun({ type: 'start-step', data: report })) held.phase = 'granted'
      else executor.held.shift()
    } else if (held.phase === 'granted') {
      this.effects.push(`${runId}.${n}.${stepId}.${attempt}`)
      held.phase = 'done'
    } else {
      const recorded = this.#targetRun({ type: 'succeed-step', data: { ...report, seq: 1, output, exitCode: 0 } })
      held.phase = 'assigned'
      held.steps.shift()
      if (!recorded || held.steps.length === 0) executor.held.shift()
    }
  }

  /** The process dies; with its spool it tells what it knows, without it nothing. */
  crash(executor: Executor, spoolLost: boolean): void {
    const held = executor.held.splice(0)
    executor.process += 1
    executor.paused = false
    if (spoolLost) return
    for (const { runId, n, epoch, steps, attempts, phase } of held) {
      const [stepId = ''] = steps
      const data = { runId, n, epoch, seq: 1, detail: 'restarted' }
      if (phase === 'assigned') this.#targetRun({ type: 'hand-back-target-run', data })
      else {
        const lost = { ...data, stepId, attempt: attempts[stepId], at: AT, why: 'executor-restarted' }
        this.#targetRun({ type: 'report-step-lost', data: lost })
      }
    }
  }

  /** Time passes; executors that are not paused say what they hold; leases that are over end. */
  pass(ms: number): void {
    this.#now += ms
    for (const { id, process, paused, held, cancelled } of this.executors) {
      if (paused) continue
      this.#leases.heard(id, String(process), this.#now)
      for (const each of held) {
        const run = this.#runs.get(each.runId)
        const claim = run?.claims.get(each.n)
        if (claim?.epoch === each.epoch) this.#leases.listed(claim, this.#now)
        if (run?.status === 'cancelling') cancelled.add(keyOf(each))
      }
    }
    for (const run of this.#runs.all()) {
      for (const [n, claim] of run.claims) {
        if (!this.#leases.isOver(claim, this.#now)) continue
        this.#targetRun({ type: 'expire-lease', data: { runId: run.runId, n, epoch: claim.epoch } })
      }
    }
  }

  /** Another reactors process takes over, reading from the checkpoint. */
  restart(): void {
    const after = this.#runs.lowWater
    this.#runs = new ActiveRuns(after)
    this.#leases = new LeaseTable(LEASE)
    const position = after?.commit ?? -1n
    this.#heard = this.#log.filter(event => event.position.commit <= position).length
    this.hear(this.#log.length)
  }

  statusOf(runId: string): string {
    return fold(deciders.run, this.#eventsOf(streams.run(runId)) as never[]).status
  }

  /** Whether the counts a run ended with are those of its target runs. */
  countsAreTrue(runId: string): boolean {
    const run = fold(deciders.run, this.#eventsOf(streams.run(runId)) as never[])
    const ended = this.#eventsOf(streams.run(runId)).at(-1)
    if (run.status === 'absent' || !ended || !('counts' in ended.data)) return false
    const states = run.targetIds.map((_, n) => this.#state(runId, n).status)
    const count = (...statuses: string[]) => states.filter(status => statuses.includes(status)).length
    const { succeeded, failed, cancelled, needsAttention } = ended.data.counts
    return (
      succeeded === count('succeeded') &&
      failed === count('failed') &&
      cancelled === count('cancelled', 'absent') &&
      needsAttention === count('needs-attention')
    )
  }

  #state(runId: string, n: number): TargetRun {
    return fold(deciders.targetRun, this.#eventsOf(streams.targetRun(runId, n)) as never[])
  }

  #targetRun(command: { type: string; data: { runId: string; n: number } & Record<string, unknown> }): boolean {
    const { runId, n } = command.data
    return this.#try(() => this.#send(deciders.targetRun, streams.targetRun(runId, n), command))
  }

  #try(act: () => void): boolean {
    try {
      act()
      return true
    } catch (error) {
      if (!(error instanceof DomainError)) throw error
      return false
    }
  }

  #send(decider: unknown, stream: string, command: Message): void {
    const { decide, ...rest } = decider as Decider<unknown, Message, AnyEvent, unknown>
    const state = fold<unknown, AnyEvent>(rest, this.#eventsOf(stream))
    this.#append(decide(command, state, specMeta, undefined))
  }

  #eventsOf(stream: string): Recorded[] {
    return this.#byStream.get(stream) ?? []
  }

  #append(events: AnyEvent[]): void {
    for (const event of events) {
      const recorded = this.#history.record(event)
      this.#log.push(recorded)
      this.#byStream.set(recorded.stream, [...this.#eventsOf(recorded.stream), recorded])
    }
  }
}

type Move = (world: World) => void
const one = fc.constantFrom(0, 1)
const on =
  (index: number, act: (world: World, executor: Executor) => void): Move =>
  world => {
    const executor = world.executors[index]
    if (executor) act(world, executor)
  }
const moves: fc.Arbitrary<Move> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(one, fc.boolean()).map(([e, keep]) => on(e, (w, x) => w.pull(x, !keep))) },
  { weight: 12, arbitrary: one.map(e => on(e, (w, x) => w.work(x))) },
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 8 }).map(count => (w: World) => w.hear(count)) },
  { weight: 4, arbitrary: fc.integer({ min: 500, max: 20_000 }).map(ms => (w: World) => w.pass(ms)) },
  { weight: 2, arbitrary: fc.tuple(one, fc.boolean()).map(([e, lost]) => on(e, (w, x) => w.crash(x, lost))) },
  {
    weight: 2,
    arbitrary: one.map(e =>
      on(e, (_, x) => {
        x.paused = !x.paused
      }),
    ),
  },
  { weight: 1, arbitrary: fc.constant((w: World) => w.restart()) },
  { weight: 1, arbitrary: fc.constantFrom(...runIds).map(runId => (w: World) => w.cancel(runId)) },
)
const OVER = new Set(['succeeded', 'partially-succeeded', 'failed', 'cancelled', 'needs-attention'])

t.test('whatever fails: no step is done twice, and every run ends', async t => {
  let done = 0
  fc.assert(
    fc.property(
      fc.array(moves, { maxLength: 150 }),
      fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 3, maxLength: 3 }),
      (plan, sizes) => {
        const world = new World()
        runIds.forEach((runId, i) => world.trigger(runId, sizes[i] ?? 1))
        for (const move of plan) move(world)
        for (const executor of world.executors) executor.paused = false
        for (let round = 0; round < 200 && runIds.some(runId => !OVER.has(world.statusOf(runId))); round += 1) {
          world.hear(1_000)
          for (const executor of world.executors) {
            world.pull(executor, false)
            for (let i = 0; i < 8; i += 1) world.work(executor)
          }
          world.pass(LEASE / 5)
        }
        const stuck = runIds.filter(runId => !OVER.has(world.statusOf(runId)))
        const attempts = new Set(world.effects)
        const once = world.effects
          .filter(effect => effect.includes('.restart.'))
          .map(effect => effect.replace(/\.\d+$/, ''))
        done += world.effects.length
        return (
          stuck.length === 0 &&
          runIds.every(runId => world.countsAreTrue(runId)) &&
          attempts.size === world.effects.length &&
          new Set(once).size === once.length
        )
      },
    ),
    { numRuns: 300 },
  )
  t.ok(done > 1_000, `${done} effects were watched`)
})

t.test('two runs share what is claimed within a fifth', async t => {
  const [nightly = '', urgent = ''] = runIds
  const runs = new ActiveRuns(undefined)
  const history = new History()
  for (const [runId, targets] of [
    [nightly, 2_000],
    [urgent, 500],
  ] as const) {
    const targetIds = Array.from({ length: targets }, (_, n) => derivedId('target', n))
    const initiator = { kind: 'user', id: 'anna' } as const
    const job = { jobId: derivedId('job', 'deploy'), jobVersion: 1, jobName: 'deploy', selection: { targetIds } }
    runs.apply(history.record({ type: 'RunRequested', data: { runId, ...job, targets, initiator } }))
    runs.apply(history.record({ type: 'TargetsResolved', data: { runId, from: 0, targetIds } }))
  }
  const claimed = new Map<string, number>()
  for (let i = 0; i < 800; i += 1) {
    const reservation = runs.reserve()
    if (!reservation) break
    const { run, n } = reservation
    claimed.set(run.runId, (claimed.get(run.runId) ?? 0) + 1)
    runs.apply(history.record({ type: 'LeaseExpired', data: { runId: run.runId, n, epoch: 1, executorId: 'east' } }))
  }
  const [a = 0, b = 0] = [claimed.get(nightly), claimed.get(urgent)]
  t.ok(Math.abs(a - b) <= 0.2 * Math.max(a, b), `${a} and ${b}`)
})
