import { DomainError, nextAttempt, remainingSteps, type TargetRun } from '../../command-api/domain/index.ts'
import type { Clock } from '../../infra/clock.ts'
import { derivedId, type Ids } from '../../infra/ids.ts'
import type { Assignment, PullRequest } from '../../schemas/bus.ts'
import type { Commands } from '../commands.ts'
import type { ActiveRuns, Reservation } from '../runs/active-runs.ts'
import type { Prepared } from './work-source.ts'

type Options = { commands: Commands; runs: ActiveRuns; ids: Ids; clock: Clock; leaseSeconds: number }
type Known = Exclude<TargetRun, { status: 'absent' }>

// What a claim says where the log tells nothing of the target or the steps any more; such a run fails at once.
const NOWHERE = { name: 'unknown', address: 'unknown.invalid', port: 1 }
const NOTHING = [{ id: 'unknown', idempotent: false, continueOnError: false }]

/** Turns reservations into claims in the log. An assignment exists only once its claim is durable. */
export class Claims {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * The assignment to answer with, undefined when the target run ended or was taken instead.
   * Throws EventStoreUnavailable, AppendOutcomeUnknown.
   */
  async claim(reservation: Reservation, request: PullRequest, work: Prepared): Promise<Assignment | undefined> {
    const { run, n } = reservation
    const state = await this.#append(reservation, request, work)
    if (!state) return undefined
    run.claimed(n, { executorId: request.executorId, epoch: state.epoch, started: false })
    this.#options.runs.refresh(run)
    if (work.impossible || !work.target || !work.credential) {
      await this.#fail(reservation, state.epoch, work.impossible ?? { class: 'internal', detail: 'nothing to work on' })
      return undefined
    }
    if (run.status === 'cancelling') {
      await this.#handBack(reservation, state.epoch)
      return undefined
    }
    const left = new Set(remainingSteps(state).map(step => step.id))
    const steps = work.steps.filter(step => left.has(step.id))
    const repeated = Object.keys(state.attempts).filter(stepId => left.has(stepId))
    return {
      runId: run.runId,
      n,
      epoch: state.epoch,
      leaseSeconds: this.#options.leaseSeconds,
      target: work.target,
      credential: work.credential,
      steps,
      attempts: Object.fromEntries(repeated.map(stepId => [stepId, nextAttempt(state, stepId)])),
    }
  }

  async #append({ run, n, as }: Reservation, request: PullRequest, work: Prepared): Promise<Known | undefined> {
    const { commands, ids, leaseSeconds } = this.#options
    const { name, address, port } = work.target ?? NOWHERE
    const rules = work.steps.map(({ id, idempotent, continueOnError }) => ({ id, idempotent, continueOnError }))
    const data = {
      runId: run.runId,
      n,
      targetId: run.targetIds[n] ?? '',
      steps: rules.length > 0 ? rules : NOTHING,
      executorId: request.executorId,
      executorKey: request.publicKey,
      leaseSeconds,
      credential: work.credential && { credentialId: work.credential.credentialId, version: work.credential.version },
      target: { name, address, port },
    }
    try {
      // A new id for every try: two dispatchers that derived the same id would both believe that they hold the claim.
      const commandId = ids.next()
      const send = as === 'fresh' ? commands.sendFirst : commands.send
      const state = await send('targetRun', { type: 'claim-target-run', data }, this.#by(run, commandId))
      return state.status === 'absent' ? undefined : state
    } catch (err) {
      if (err instanceof DomainError) return undefined
      throw err
    }
  }

  async #fail({ run, n }: Reservation, epoch: number, why: NonNullable<Prepared['impossible']>): Promise<void> {
    const { commands, clock } = this.#options
    const commandId = derivedId('fail-target-run', run.runId, n, epoch)
    const data = { runId: run.runId, n, epoch, seq: 1, at: clock.now(), ...why }
    await commands.send('targetRun', { type: 'fail-target-run', data }, this.#by(run, commandId))
  }

  async #handBack({ run, n }: Reservation, epoch: number): Promise<void> {
    const commandId = derivedId('hand-back-target-run', run.runId, n, epoch)
    const data = { runId: run.runId, n, epoch, seq: 1, detail: 'the run was cancelled before it was given out' }
    await this.#options.commands.send('targetRun', { type: 'hand-back-target-run', data }, this.#by(run, commandId))
  }

  #by(run: Reservation['run'], commandId: string) {
    const { correlationId, requestEventId: causationId } = run.request
    return { actor: 'dispatcher', commandId, correlationId, causationId }
  }
}
