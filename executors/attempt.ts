import type { Assignment } from '../schemas/bus.ts'
import type { OutputValue } from '../schemas/expression.ts'
import type { FailureClass } from '../schemas/failure.ts'
import type { RenderedStep } from '../schemas/steps/index.ts'
import type { ExecutorContext } from './context.ts'
import { type AttemptId, AttemptOutput } from './output/attempt-output.ts'
import { type MaskSet, maskSet } from './output/masker.ts'
import { CAPTURE_BYTES, outputsOf } from './output/step-outputs.ts'
import { attemptKeyOf } from './spool/output-spool.ts'
import { SshFailure } from './ssh/failure.ts'
import type { ProcessOutput } from './ssh/remote-process.ts'
import { askSecret, type StepSecret, takesSecret } from './step-secret.ts'
import { runnerOf } from './steps/registry.ts'
import type { StepEnd, StepTools } from './steps/runner.ts'
import { Stop } from './stop.ts'
import type { TargetLink } from './target-link.ts'

const CONNECT_SECONDS = 10

export const leaseOver = 'the lease ran out before the command was handed over'

type Termination = 'not-started' | 'terminated' | 'unconfirmed'

/** How an attempt ended, as far as anybody can know. */
export type AttemptEnd =
  | { kind: 'succeeded'; exitCode: number; outputs?: Record<string, OutputValue> }
  | {
      kind: 'failed'
      class: FailureClass
      detail: string
      exitCode?: number
      signal?: string
      termination?: Termination
    }
  | { kind: 'cancelled'; termination: Termination; detail: string }
  | { kind: 'lost'; detail: string }

export type AttemptResult = { end: AttemptEnd; output: ReturnType<AttemptOutput['end']> }

/** One attempt of one step, after its start was recorded: lets its runner carry it out and tells how that ended. */
export class Attempt {
  readonly #context: ExecutorContext
  readonly #link: TargetLink
  readonly #step: RenderedStep
  readonly #id: AttemptId
  readonly #assignment: Assignment
  readonly #stop: Stop
  #output: AttemptOutput | undefined
  #secret: StepSecret | undefined
  #ownMasks: MaskSet | undefined

  constructor(
    context: ExecutorContext,
    link: TargetLink,
    of: { step: RenderedStep; id: AttemptId; assignment: Assignment },
  ) {
    this.#context = context
    this.#link = link
    this.#step = of.step
    this.#id = of.id
    this.#assignment = of.assignment
    this.#stop = new Stop(of.step)
  }

  /** Stops it for good: with the whole target run, or this step alone. */
  cancel(reason: 'cancelled' | 'step-cancelled'): void {
    this.#stop.now(reason)
  }

  /** Never rejects for anything the target or the network does. */
  async run(): Promise<AttemptResult> {
    try {
      const end = await this.#end()
      const output = this.#output ?? this.#newOutput()
      const sealed = output.end()
      return { end: withOutputs(this.#step, end, output.captured()), output: sealed }
    } finally {
      this.#stop.over()
      this.#secret?.wipe()
      this.#ownMasks?.wipe()
    }
  }

  async #end(): Promise<AttemptEnd> {
    const { action } = this.#step
    const without = takesSecret(this.#step) ? await this.#readSecret() : undefined
    if (this.#stop.reason) {
      return this.#stopped({ kind: 'stopped', termination: 'not-started', detail: 'it had not begun' })
    }
    if (without) return without
    const end = await runnerOf(action).run(action, this.#tools())
    return end.kind === 'stopped' ? this.#stopped(end) : end
  }

  /** Asked for here and not before: a secret is let out for a step that runs. Answers why it cannot go on. */
  async #readSecret(): Promise<AttemptEnd | undefined> {
    if (this.#stop.reason) return undefined
    const { lease } = this.#context
    try {
      this.#secret = await askSecret(this.#context, this.#step, this.#assignment, this.#stop.signal)
    } catch (error) {
      if (!(error instanceof SshFailure)) throw error
      return { kind: 'failed', class: error.class, detail: error.message.slice(0, 500) }
    }
    if (lease.remainingMs() > 0) return undefined
    return { kind: 'failed', class: 'lost-before-start', detail: leaseOver }
  }

  #stopped({ termination, detail }: Extract<StepEnd, { kind: 'stopped' }>): AttemptEnd {
    const { timeoutSeconds, silenceSeconds } = this.#step
    const failed = (failureClass: FailureClass, why: string): AttemptEnd => ({
      ...{ kind: 'failed', class: failureClass, detail: `${why}: ${detail}`.slice(0, 500) },
      termination,
    })
    switch (this.#stop.reason) {
      case 'timed-out':
        return failed('timed-out', `stopped after ${timeoutSeconds} s`)
      case 'silent':
        return failed('timed-out', `stopped after ${silenceSeconds} s without output`)
      case 'step-cancelled':
        return failed('cancelled', 'stopped by request')
      case 'cancelled':
      case undefined:
        return { kind: 'cancelled', termination, detail }
    }
  }

  #tools(): StepTools {
    const { artifacts, egress, clock, lease } = this.#context
    const { target, connectSeconds = CONNECT_SECONDS } = this.#assignment
    return {
      ...{ artifacts, egress, clock, target, connectMs: connectSeconds * 1_000 },
      step: this.#step,
      secret: this.#secret?.bytes,
      certificate: this.#secret?.certificate,
      link: this.#link,
      signal: this.#stop.signal,
      mayBegin: () => {
        const leftMs = lease.remainingMs()
        if (leftMs === 0) throw new SshFailure('lost-before-start', leaseOver)
        return leftMs
      },
      begin: () => this.#stop.begin(),
      alive: () => this.#stop.alive(),
      output: (masks = this.#link.masks) => {
        this.#output = this.#newOutput(this.#hiding(masks))
        return this.#sink(this.#output)
      },
    }
  }

  #hiding(masks: MaskSet | undefined): MaskSet | undefined {
    if (!this.#secret) return masks
    this.#ownMasks?.wipe()
    this.#ownMasks = this.#secret.masksWith(masks)
    return this.#ownMasks
  }

  #newOutput(masks: MaskSet = maskSet([])): AttemptOutput {
    const { output, clock, outputCapBytes } = this.#context
    return new AttemptOutput({
      ...{ id: this.#id, masks, capBytes: outputCapBytes, clock, keep: chunk => output.add(chunk) },
      captureBytes: this.#step.outputs ? CAPTURE_BYTES : 0,
    })
  }

  #sink(output: AttemptOutput): ProcessOutput {
    const key = attemptKeyOf(this.#id)
    return {
      push: (stream, bytes) => {
        this.#stop.alive()
        output.push(stream, bytes)
      },
      isBacklogged: () => this.#context.output.isBacklogged(key),
      onRelief: (listener: () => void) => this.#context.output.onRelief(listener),
    }
  }
}

/** What the author asked for is found in what was printed; a step that did not print it has failed. */
function withOutputs(step: RenderedStep, end: AttemptEnd, captured: Buffer): AttemptEnd {
  if (end.kind !== 'succeeded' || step.outputs === undefined) return end
  const found = outputsOf(step.outputs, captured)
  if ('missing' in found) {
    return { kind: 'failed', class: 'output-not-found', exitCode: end.exitCode, detail: found.missing }
  }
  return { ...end, outputs: { ...end.outputs, ...found.outputs } }
}
