import type { Assignment, ReportReply } from '../schemas/bus.ts'
import type { RenderedStep } from '../schemas/steps/index.ts'
import { Attempt, type AttemptResult, leaseOver } from './attempt.ts'
import type { ExecutorContext } from './context.ts'
import type { ReportBody } from './control-plane.ts'
import { outcomeReport } from './outcome.ts'
import type { Gap } from './output/attempt-output.ts'
import { attemptKeyOf } from './spool/output-spool.ts'
import type { Held } from './spool/report-spool.ts'
import { SshFailure } from './ssh/failure.ts'
import { runnerOf } from './steps/registry.ts'
import { TargetLink } from './target-link.ts'
import { askCheck, checkStep, type Verdict } from './verification.ts'
import { within } from './wait.ts'

/** Whoever reads the outcome should find the output stored; but an output store that is down must not hold it back. */
const OUTPUT_STORED_MS = 2_000

type Started = { step: RenderedStep; attempt: number; seq: number }
type Verify = NonNullable<Assignment['verify']>
type Delivered = Promise<ReportReply | undefined>

/** One run on one target, from its assignment to its last report. */
export class TargetRunWork {
  readonly held: Held
  readonly #context: ExecutorContext
  readonly #assignment: Assignment
  readonly #cancelled = new AbortController()
  readonly #link: TargetLink
  #running: { attempt: Attempt; stepId: string } | undefined
  #draining = false
  #seq = 0
  #delivered: Delivered = Promise.resolve({ status: 'recorded' })

  constructor(context: ExecutorContext, assignment: Assignment) {
    const { runId, n, epoch } = assignment
    this.held = { runId, n, epoch }
    this.#context = context
    this.#assignment = assignment
    this.#link = new TargetLink(context, assignment, this.#cancelled.signal)
  }

  /** Stops what runs, for good, and starts nothing more. */
  cancel(): void {
    this.#cancelled.abort()
    this.#running?.attempt.cancel('cancelled')
  }

  /** Stops this step if it is the one that runs; what follows is for its author to say. */
  cancelStep(stepId: string | undefined): void {
    const running = this.#running
    if (stepId === undefined || stepId === running?.stepId) running?.attempt.cancel('step-cancelled')
  }

  /** Lets the running step end and gives the rest back. */
  drain(): void {
    this.#draining = true
  }

  /** Resolves when nothing is left to do here; `delivered` when the control plane has the last word. Never rejects. */
  async run(): Promise<{ delivered: Delivered }> {
    this.#context.spool.hold(this.held)
    try {
      await this.#steps()
    } catch (error) {
      await this.#failed(error)
    } finally {
      this.#link.release()
    }
    return { delivered: this.#delivered }
  }

  async #steps(): Promise<void> {
    const { verify, steps } = this.#assignment
    const verdict = verify && (await this.#verify(verify))
    if (verify && verdict === undefined) return
    const due = verdict === 'happened' ? steps.filter(step => step.id !== verify?.stepId) : steps
    for (const step of due) {
      if (this.#cancelled.signal.aborted) return await this.#notStarted()
      if (this.#draining) return await this.#handBack('the executor is stopping')
      if (runnerOf(step.action).connects) await this.#link.ready()
      const started = await this.#start(step)
      if (!started) return
      const result = await this.#perform(started)
      await this.#conclude(started, result)
      const goesOn = result.end.kind === 'succeeded' || (result.end.kind === 'failed' && step.continueOnError)
      if (!goesOn || step === due.at(-1)) return
      // A step that is not recorded as over would make the next one come out of order.
      if (!(await this.#wasRecorded('the outcome of a step could not be delivered'))) return
    }
  }

  /** Whether the control plane took the last report; without an answer in time what is left is given back. */
  async #wasRecorded(otherwise: string): Promise<boolean> {
    const answer = await within(this.#context.lease.remainingMs() + 1, this.#delivered)
    if (answer === undefined) await this.#handBack(otherwise)
    return answer?.status === 'recorded'
  }

  /** Finds out what became of a step that nobody knows of; undefined when that is not the word to go on with it. */
  async #verify({ stepId, attempt, check, variables = {} }: Verify): Promise<Verdict | undefined> {
    const { clock, mayRun } = this.#context
    const { signal } = this.#cancelled
    const judged = await mayRun(checkStep({ stepId, check, variables }), this.#assignment.safety)
    const { verdict, detail } = judged.allowed
      ? await askCheck({ command: check, variables, link: this.#link, signal })
      : ({ verdict: 'unclear', detail: judged.detail } as const)
    if (signal.aborted) {
      await this.#notStarted()
      return undefined
    }
    const data = { ...this.held, stepId, attempt, seq: this.#nextSeq(), at: clock.now(), verdict, detail }
    await this.#report({ type: 'report-check', data })
    if (verdict === 'unclear' || !(await this.#wasRecorded('the result of a check could not be delivered'))) {
      return undefined
    }
    return verdict
  }

  /** Asks for permission, and notes it so that a restart knows: only then may the step take effect. */
  async #start(step: RenderedStep): Promise<Started | undefined> {
    const { controlPlane, lease, clock, spool } = this.#context
    const attempt = this.#assignment.attempts[step.id] ?? 1
    const data = { ...this.held, stepId: step.id, attempt, at: clock.now() }
    const answer = await controlPlane.ask(
      { type: 'start-step', data },
      () => lease.remainingMs(),
      this.#cancelled.signal,
    )
    const started = { step, attempt, seq: this.#nextSeq() }
    if (answer?.status === 'recorded') {
      await spool.grant({ ...this.held, stepId: step.id, attempt, seq: started.seq })
      return started
    }
    if (this.#cancelled.signal.aborted || answer?.code === 'run-finished') await this.#notStarted()
    else if (answer === undefined) await this.#unanswered(started)
    else this.#log('info', { status: answer.status, code: answer.code }, 'a step may not start')
    return undefined
  }

  async #perform({ step, attempt }: Started): Promise<AttemptResult> {
    const id = { ...this.held, stepId: step.id, attempt }
    const running = new Attempt(this.#context, this.#link, { step, id, assignment: this.#assignment })
    if (this.#cancelled.signal.aborted) running.cancel('cancelled')
    this.#running = { attempt: running, stepId: step.id }
    try {
      return (await this.#refusal(step)) ?? (await running.run())
    } catch (error) {
      this.#log('error', { err: error }, 'an attempt failed inside the executor')
      return { end: { kind: 'lost', detail: 'the executor failed while the command ran' }, output: nothing }
    } finally {
      this.#running = undefined
    }
  }

  /** Why a step that was started must not take effect all the same. */
  async #refusal(step: RenderedStep): Promise<AttemptResult | undefined> {
    const judged = await this.#context.mayRun(step, this.#assignment.safety)
    if (!judged.allowed) {
      return { end: { kind: 'failed', class: 'policy-denied', detail: judged.detail }, output: nothing }
    }
    // The process may have stood still between the permission and now.
    if (this.#context.lease.remainingMs() > 0) return undefined
    return { end: { kind: 'failed', class: 'lost-before-start', detail: leaseOver }, output: nothing }
  }

  async #conclude({ step, attempt, seq }: Started, { end, output }: AttemptResult): Promise<void> {
    const id = { ...this.held, stepId: step.id, attempt }
    for (const gap of output.gaps) await this.#tellGap(id, gap)
    await this.#report(
      outcomeReport({ ...id, seq, at: this.#context.clock.now() }, end, output.digest),
      this.#stored(id),
    )
  }

  /** Output that is not stored in time must at least be safe here before its digest is promised. */
  async #stored(id: Parameters<typeof attemptKeyOf>[0]): Promise<void> {
    const { output } = this.#context
    if (!(await output.drained(attemptKeyOf(id), OUTPUT_STORED_MS))) await output.persist()
  }

  async #tellGap(id: { stepId: string; attempt: number } & Held, gap: Gap): Promise<void> {
    const detail = 'no room was left for output that could not be stored'
    await this.#report({ type: 'report-output-gap', data: { ...id, seq: this.#nextSeq(), ...gap, detail } })
  }

  /** Nobody answered for a whole lease. The start may have been recorded all the same; the effect did not happen. */
  async #unanswered(started: Started): Promise<void> {
    await this.#handBack('the control plane did not answer')
    const answer = await this.#delivered
    if (answer?.code !== 'step-already-started') return
    const detail = 'the permission to start came too late; nothing was done'
    const end = { kind: 'failed', class: 'lost-before-start', detail } as const
    await this.#conclude(started, { end, output: nothing })
  }

  async #notStarted(): Promise<void> {
    const data = { ...this.held, seq: this.#nextSeq(), at: this.#context.clock.now() }
    await this.#report({ type: 'report-cancelled', data: { ...data, termination: 'not-started', detail: notStarted } })
  }

  async #handBack(detail: string): Promise<void> {
    await this.#report({ type: 'hand-back-target-run', data: { ...this.held, seq: this.#nextSeq(), detail } })
  }

  /** Before any step of this target run was started: nothing has happened on the target. */
  async #failed(error: unknown): Promise<void> {
    if (error instanceof SshFailure && error.class === 'cancelled') return await this.#notStarted()
    if (!(error instanceof SshFailure)) this.#log('error', { err: error }, 'a target run failed inside the executor')
    const known = error instanceof SshFailure
    const why = known
      ? { class: error.class, detail: error.message }
      : ({ class: 'internal', detail: 'the executor failed' } as const)
    const data = { ...this.held, seq: this.#nextSeq(), at: this.#context.clock.now(), ...why }
    await this.#report({ type: 'fail-target-run', data })
  }

  async #report(body: ReportBody, ready?: Promise<unknown>): Promise<void> {
    const { delivered } = await this.#context.controlPlane.report(body, ready)
    this.#delivered = delivered
  }

  #nextSeq(): number {
    this.#seq += 1
    return this.#seq
  }

  #log(level: 'info' | 'error', fields: object, message: string): void {
    this.#context.log[level]({ ...this.held, targetId: this.#assignment.target.targetId, ...fields }, message)
  }
}

const notStarted = 'cancelled before the step was started'
/** SHA-256 of nothing. */
const emptyDigest = {
  bytes: 0,
  chunks: 0,
  sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  truncated: false,
}
const nothing = { digest: emptyDigest, gaps: [] }
