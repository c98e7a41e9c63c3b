import { randomBytes } from 'node:crypto'
import type { ClientChannel } from 'ssh2'
import type { Assignment } from '../schemas/bus.ts'
import type { FailureClass } from '../schemas/failure.ts'
import type { Step } from '../schemas/steps/index.ts'
import type { ExecutorContext } from './context.ts'
import { type AttemptId, AttemptOutput } from './output/attempt-output.ts'
import { maskSet } from './output/masker.ts'
import { attemptKeyOf } from './spool/output-spool.ts'
import type { SshConnection } from './ssh/connection.ts'
import { ChannelRefused, SshFailure, SshLost } from './ssh/failure.ts'
import { type ProcessEnd, RemoteProcess } from './ssh/remote-process.ts'
import { terminate } from './ssh/terminate.ts'
import { remoteCommand } from './steps/registry.ts'
import type { TargetLink } from './target-link.ts'
import { within } from './wait.ts'

/** How an attempt ended, as far as anybody can know. */
export type AttemptEnd =
  | { kind: 'succeeded'; exitCode: number }
  | { kind: 'failed'; class: FailureClass; detail: string; exitCode?: number; signal?: string }
  | { kind: 'cancelled'; termination: 'not-started' | 'terminated' | 'unconfirmed'; detail: string }
  | { kind: 'lost'; detail: string }

export type AttemptResult = { end: AttemptEnd; output: ReturnType<AttemptOutput['end']> }

type Handed = { process: RemoteProcess; connection: SshConnection }

const CHANNEL_TRIES = 5
const HAND_OVER_MS = 20_000
const NOT_FOUND = 127

/** One attempt of one step, after its start was recorded: hands the command over and stays with it until it ended. */
export class Attempt {
  readonly #context: ExecutorContext
  readonly #link: TargetLink
  readonly #step: Step
  readonly #id: AttemptId
  readonly #cancelled: AbortSignal
  #output: AttemptOutput | undefined

  constructor(
    context: ExecutorContext,
    link: TargetLink,
    of: { assignment: Assignment; step: Step; attempt: number },
    cancelled: AbortSignal,
  ) {
    const { runId, n, epoch } = of.assignment
    this.#context = context
    this.#link = link
    this.#step = of.step
    this.#id = { runId, n, epoch, stepId: of.step.id, attempt: of.attempt }
    this.#cancelled = cancelled
  }

  /** Never rejects for anything the target or the network does. */
  async run(): Promise<AttemptResult> {
    const end = await this.#end()
    const output = (this.#output ?? this.#newOutput()).end()
    return { end, output }
  }

  async #end(): Promise<AttemptEnd> {
    const token = `opsc-${randomBytes(12).toString('hex')}`
    const command = remoteCommand(this.#step, token)
    let handed: Handed
    try {
      handed = await this.#handOver(command.command, token)
    } catch (error) {
      if (error instanceof SshFailure && error.class === 'cancelled') {
        return { kind: 'cancelled', termination: 'not-started', detail: 'cancelled before the command was handed over' }
      }
      if (error instanceof SshFailure) return { kind: 'failed', class: error.class, detail: error.message }
      if (error instanceof SshLost) return { kind: 'lost', detail: `the connection was lost: ${error.message}` }
      throw error
    }
    handed.process.feed(command)
    return await this.#watch(handed)
  }

  async #handOver(command: string, token: string): Promise<Handed> {
    for (let tries = 1; ; tries += 1) {
      const lease = await this.#link.ready()
      try {
        const attach = (channel: ClientChannel) => {
          this.#output = this.#newOutput(lease.connection.masks)
          return new RemoteProcess(channel, token, this.#sink(this.#output))
        }
        const process = await within(HAND_OVER_MS, lease.exec(command, attach))
        if (!process) throw new SshLost('the server did not answer the request to run the command')
        return { process, connection: lease.connection }
      } catch (error) {
        // Nothing was handed over yet in both cases, so another channel or connection may be tried.
        const again = error instanceof ChannelRefused || (error instanceof SshFailure && error.transient)
        if (!again) throw error
        this.#link.release()
        if (tries < CHANNEL_TRIES) continue
        throw new SshFailure('channel-refused', error.message)
      }
    }
  }

  async #watch({ process, connection }: Handed): Promise<AttemptEnd> {
    const seconds = this.#step.timeoutSeconds
    let timer: NodeJS.Timeout | undefined
    let onCancel: (() => void) | undefined
    const stopped = new Promise<'timed-out' | 'cancelled'>(resolve => {
      timer = setTimeout(() => resolve('timed-out'), seconds * 1_000)
      onCancel = () => resolve('cancelled')
      this.#cancelled.addEventListener('abort', onCancel, { once: true })
      if (this.#cancelled.aborted) onCancel()
    })
    const first = await Promise.race([process.ended, stopped])
    clearTimeout(timer)
    if (onCancel) this.#cancelled.removeEventListener('abort', onCancel)
    if (typeof first === 'object') return judge(first, process)
    const termination = await terminate(process, connection, () => this.#link.aside())
    if (first === 'timed-out') {
      return { kind: 'failed', class: 'timed-out', detail: `stopped after ${seconds} s: ${termination.detail}` }
    }
    return {
      kind: 'cancelled',
      termination: termination.confirmed ? 'terminated' : 'unconfirmed',
      detail: termination.detail,
    }
  }

  #newOutput(masks = maskSet([])): AttemptOutput {
    const { output, clock, outputCapBytes } = this.#context
    return new AttemptOutput({ id: this.#id, masks, capBytes: outputCapBytes, clock, keep: chunk => output.add(chunk) })
  }

  #sink(output: AttemptOutput) {
    const key = attemptKeyOf(this.#id)
    return {
      push: output.push.bind(output),
      isBacklogged: () => this.#context.output.isBacklogged(key),
      onRelief: (listener: () => void) => this.#context.output.onRelief(listener),
    }
  }
}

function judge(end: ProcessEnd, process: RemoteProcess): AttemptEnd {
  switch (end.kind) {
    case 'lost':
      return { kind: 'lost', detail: 'the connection was lost while the command ran' }
    case 'signalled':
      return { kind: 'failed', class: 'killed-by-signal', signal: end.signal, detail: `killed by ${end.signal}` }
    case 'exited':
      return judgeExit(end.exitCode, process.hasAnnounced)
  }
}

function judgeExit(exitCode: number, began: boolean): AttemptEnd {
  if (!began) {
    const detail = `the target's shell ended with ${exitCode} before the command began`
    return { kind: 'failed', class: 'channel-refused', exitCode, detail }
  }
  if (exitCode === 0) return { kind: 'succeeded', exitCode }
  if (exitCode === NOT_FOUND) {
    return { kind: 'failed', class: 'command-not-found', exitCode, detail: 'a command was not found (exit code 127)' }
  }
  return { kind: 'failed', class: 'exit-nonzero', exitCode, detail: `exit code ${exitCode}` }
}
