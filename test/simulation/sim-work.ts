import type { ControlPlane, ReportBody } from '../../executors/control-plane.ts'
import type { Lease } from '../../executors/lease.ts'
import type { Held, ReportSpool } from '../../executors/spool/report-spool.ts'
import type { Clock } from '../../infra/clock.ts'
import type { Assignment, ReportReply } from '../../schemas/bus.ts'
import type { RenderedStep } from '../../schemas/steps/index.ts'
import type { Random } from '../crash/random.ts'
import type { Effects } from './effects.ts'
import type { Timeline } from './timeline.ts'

export type WorkParts = {
  time: Timeline
  random: Random
  effects: Effects
  executorId: string
  clock: Clock
  lease: Lease
  controlPlane: ControlPlane
  spool: ReportSpool
  rough(): boolean
  tell(body: ReportBody): ReturnType<ControlPlane['report']>
}
type Delivered = Promise<ReportReply | undefined>
type End = 'succeeded' | 'failed' | 'lost' | 'cancelled' | 'step-cancelled' | 'too-late'
type Verdict = 'happened' | 'did-not-happen' | 'unclear'
type Stop = 'cancelled' | 'step-cancelled'

const output = { bytes: 0, chunks: 0, sha256: 'ab'.repeat(32), truncated: false }
const QUICK_MS = 600
const SLOW_MS = 4_000

/** One assignment, done as an honest executor does it. */
export class SimWork {
  readonly held: Held
  readonly #parts: WorkParts
  readonly #assignment: Assignment
  readonly #cancelled = new AbortController()
  #draining = false
  #handedBack = false
  #running: { stepId: string; stop(why: Stop): void } | undefined
  #seq = 0
  #delivered: Delivered = Promise.resolve({ status: 'recorded' })

  constructor(parts: WorkParts, assignment: Assignment) {
    const { runId, n, epoch } = assignment
    this.held = { runId, n, epoch }
    this.#parts = parts
    this.#assignment = assignment
  }

  cancel(): void {
    this.#cancelled.abort()
    this.#running?.stop('cancelled')
  }

  cancelStep(stepId: string | undefined): void {
    if (stepId === undefined || stepId === this.#running?.stepId) this.#running?.stop('step-cancelled')
  }

  drain(): void {
    this.#draining = true
  }

  /** It may still begin or finish something. What was handed back it only reports on. */
  get goesOn(): boolean {
    return !this.#handedBack
  }

  /** Resolves when the slot is free again. */
  async run(): Promise<void> {
    const { spool } = this.#parts
    spool.hold(this.held)
    await this.#steps()
    void this.#delivered.then(answer => answer && spool.release(this.held))
  }

  async #steps(): Promise<void> {
    const { verify, steps } = this.#assignment
    // One that knows nothing of checks must not get to do any harm.
    const checks = verify && !(this.#parts.rough() && this.#parts.random.next() < 0.15)
    const verdict = checks && (await this.#verify(verify))
    if (checks && verdict === undefined) return
    const due = verdict === 'happened' ? steps.filter(step => step.id !== verify?.stepId) : steps
    for (const next of due) {
      const step = this.#careless() ? this.#parts.random.pick(due) : next
      if (this.#cancelled.signal.aborted) return await this.#notStarted()
      if (this.#draining) return await this.#handBack('asked to')
      if (!(await this.#connected())) return await this.#unreachable()
      const attempt = await this.#start(step)
      if (attempt === undefined) return
      if (this.#careless() && (await this.#ask(step, attempt))?.status === 'recorded') continue
      const seq = this.#nextSeq()
      await this.#parts.spool.grant({ ...this.held, stepId: step.id, attempt, seq })
      const end = await this.#perform(step, attempt)
      await this.#conclude(step, attempt, seq, end)
      if (this.#careless()) continue
      if (end !== 'succeeded' && !(step.continueOnError && (end === 'failed' || end === 'step-cancelled'))) return
      if (step !== due.at(-1) && !(await this.#wasRecorded())) return
    }
  }

  /** One that takes steps as it likes, asks for the same again, or goes on whatever became of them, must not get to do any harm. */
  #careless(): boolean {
    const { rough, random } = this.#parts
    return rough() && random.next() < 0.02
  }

  async #connected(): Promise<boolean> {
    const { rough, random } = this.#parts
    if (!rough()) return true
    if (random.next() < 0.2) await this.#sleep(random.next() * SLOW_MS)
    return random.next() >= 0.05
  }

  /** Asks the target, which knows what took effect; now and then it cannot tell. */
  async #verify({ stepId, attempt }: NonNullable<Assignment['verify']>): Promise<Verdict | undefined> {
    const { random, effects, clock } = this.#parts
    await this.#sleep(random.next() * QUICK_MS)
    if (this.#cancelled.signal.aborted) return await this.#notStarted()
    const { runId, n } = this.held
    const truth: Verdict = effects.happened({ runId, n, stepId }, attempt) ? 'happened' : 'did-not-happen'
    const verdict: Verdict = this.#parts.rough() && random.next() < 0.15 ? 'unclear' : truth
    const data = { ...this.held, stepId, attempt, seq: this.#nextSeq(), at: clock.now(), verdict, detail: 'checked' }
    await this.#tell({ type: 'report-check', data })
    return verdict === 'unclear' || !(await this.#wasRecorded()) ? undefined : verdict
  }

  /** The attempt that may begin; undefined when nothing may. */
  async #start(step: RenderedStep): Promise<number | undefined> {
    const attempt = this.#assignment.attempts[step.id] ?? 1
    const { signal } = this.#cancelled
    const answer = await this.#ask(step, attempt)
    if (answer?.status === 'recorded') return attempt
    if (signal.aborted || answer?.code === 'run-finished') await this.#notStarted()
    else if (answer === undefined) await this.#unanswered(step, attempt)
    return undefined
  }

  #ask(step: RenderedStep, attempt: number): Promise<ReportReply | undefined> {
    const { controlPlane, lease, clock } = this.#parts
    const data = { ...this.held, stepId: step.id, attempt, at: clock.now() }
    return controlPlane.ask({ type: 'start-step', data }, () => lease.remainingMs(), this.#cancelled.signal)
  }

  /** Permission and lease are looked at right before the effect. */
  async #perform(step: RenderedStep, attempt: number): Promise<End> {
    const { lease, random, effects, time, executorId } = this.#parts
    if (lease.remainingMs() === 0) return 'too-late'
    if (this.#cancelled.signal.aborted) return 'cancelled'
    const rough = this.#parts.rough()
    const fate = random.next()
    const { targetId } = this.#assignment.target
    // A connection that is lost takes the command with it, or does not.
    if (!rough || fate >= 0.03)
      effects.add({
        ...{ at: time.now, ...this.held, stepId: step.id, attempt, executorId, targetId },
        variables: step.variables ?? {},
      })
    const takes = random.next() * (random.next() < 0.15 ? SLOW_MS : QUICK_MS)
    const stopped = await new Promise<Stop | undefined>(resolve => {
      this.#running = { stepId: step.id, stop: resolve }
      setTimeout(() => resolve(undefined), takes)
    })
    this.#running = undefined
    if (stopped) return stopped
    if (rough && fate < 0.08) return 'lost'
    return fate < (rough ? 0.25 : 0.12) ? 'failed' : 'succeeded'
  }

  async #conclude(step: RenderedStep, attempt: number, seq: number, end: End): Promise<void> {
    const { clock } = this.#parts
    const id = { ...this.held, stepId: step.id, attempt, seq, at: clock.now() }
    const detail = end
    switch (end) {
      case 'succeeded': {
        const outputs = step.outputs && { outputs: { value: `${this.#assignment.target.name}` } }
        return await this.#tell({ type: 'succeed-step', data: { ...id, output, exitCode: 0, ...outputs } })
      }
      case 'failed':
        return await this.#tell({
          type: 'fail-step',
          data: { ...id, output, class: 'exit-nonzero', exitCode: 1, detail },
        })
      case 'step-cancelled': {
        const data = { ...id, output, class: 'cancelled', termination: 'terminated', detail } as const
        return await this.#tell({ type: 'fail-step', data })
      }
      case 'too-late':
        return await this.#tell({ type: 'fail-step', data: { ...id, output, class: 'lost-before-start', detail } })
      case 'lost':
        return await this.#tell({ type: 'report-step-lost', data: { ...id, why: 'connection-lost', detail } })
      case 'cancelled':
        return await this.#tell({
          type: 'report-cancelled',
          data: { ...id, termination: 'terminated', output, detail },
        })
    }
  }

  /** Nobody answered for a whole lease: the start may be recorded, the effect did not happen. */
  async #unanswered(step: RenderedStep, attempt: number): Promise<void> {
    const seq = this.#nextSeq()
    await this.#handBack('nobody answered')
    const answer = await this.#delivered
    if (answer?.code === 'step-already-started') await this.#conclude(step, attempt, seq, 'too-late')
  }

  async #unreachable(): Promise<void> {
    const data = { ...this.held, seq: this.#nextSeq(), at: this.#parts.clock.now() }
    await this.#tell({ type: 'fail-target-run', data: { ...data, class: 'unreachable', detail: 'no route' } })
  }

  async #notStarted(): Promise<undefined> {
    const data = { ...this.held, seq: this.#nextSeq(), at: this.#parts.clock.now(), detail: 'not started' }
    await this.#tell({ type: 'report-cancelled', data: { ...data, termination: 'not-started' } })
  }

  async #handBack(detail: string): Promise<void> {
    this.#handedBack = true
    await this.#tell({ type: 'hand-back-target-run', data: { ...this.held, seq: this.#nextSeq(), detail } })
  }

  async #wasRecorded(): Promise<boolean> {
    const { lease } = this.#parts
    const over = this.#sleep(lease.remainingMs() + 1).then(() => undefined)
    const answer = await Promise.race([this.#delivered, over])
    if (answer === undefined) await this.#handBack('an outcome could not be delivered')
    return answer?.status === 'recorded'
  }

  async #tell(body: ReportBody): Promise<void> {
    this.#delivered = (await this.#parts.tell(body)).delivered
  }

  #nextSeq(): number {
    this.#seq += 1
    return this.#seq
  }

  #sleep(ms: number): Promise<void> {
    return new Promise(resolve => setTimeout(resolve, ms))
  }
}
