import { DomainError, nextAttempt, type TargetRun } from '../../command-api/domain/index.ts'
import { derivedId, type Ids } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import { defaultRules } from '../../infra/safety/default-rules.ts'
import { rulesDigest } from '../../infra/safety/rules.ts'
import type { Assignment, PullRequest } from '../../schemas/bus.ts'
import type { Commands } from '../commands.ts'
import type { RunRequest } from '../runs/active-run.ts'
import type { ActiveRuns, Place, Reservation } from '../runs/active-runs.ts'
import { voiding } from '../runs/to-command.ts'
import type { Job, Prepared } from './work-source.ts'

type Options = { commands: Commands; runs: ActiveRuns; ids: Ids; log: Log; leaseSeconds: number }
type Known = Exclude<TargetRun, { status: 'absent' }>
type Untaken = Exclude<Prepared, { kind: 'claim' | 'hold' }>

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
  async claim(reservation: Reservation, request: PullRequest, work: Job): Promise<Assignment | undefined> {
    const { run, n } = reservation
    const state = await this.#append(reservation, request, work)
    if (!state) return undefined
    run.agreementsUsed(work.due.map(({ id }) => id))
    run.claimedHere(n, { executorId: request.executorId, epoch: state.epoch, started: false, left: work.due.length })
    this.#options.runs.refresh(run)
    if (run.status === 'cancelling' || run.unwanted.has(n)) {
      await this.#handBack(reservation, state.epoch, 'the run was cancelled before it was given out')
      return undefined
    }
    return this.#assignment(reservation, work, state)
  }

  /** Nobody has heard of the claim. When that cannot be written now, it is over with its lease. */
  async takeBack({ runId, n, epoch }: Pick<Assignment, 'runId' | 'n' | 'epoch'>): Promise<void> {
    const run = this.#options.runs.get(runId)
    try {
      if (run) await this.#handBack({ run, n }, epoch, 'the executor was gone before it was given out')
    } catch (err) {
      this.#options.log.warn({ err, runId, n, epoch }, 'could not be taken back')
    }
  }

  /** What needs no executor: everything is left out, a wait begins, it cannot be done, or was not agreed to like this. */
  async settle({ run, n }: Place, work: Untaken): Promise<void> {
    if (work.kind === 'void') {
      const { commandId, command } = voiding(run, work)
      await this.#options.commands.send('run', command, this.#by(run, commandId))
      return
    }
    const where = { runId: run.runId, n, targetId: run.targetIds[n] ?? '', steps: work.rules }
    const by = this.#by(
      run,
      derivedId(work.kind, run.runId, n, run.lastEpoch(n), work.kind === 'settle' ? '' : work.stepId),
    )
    switch (work.kind) {
      case 'settle':
        await this.#options.commands.send(
          'targetRun',
          { type: 'settle-target-run', data: { ...where, skip: work.skip } },
          by,
        )
        return
      case 'wait': {
        const { stepId, until, skip } = work
        await this.#options.commands.send(
          'targetRun',
          { type: 'begin-wait', data: { ...where, skip, stepId, until } },
          by,
        )
        return
      }
      case 'impossible': {
        const data = { ...where, stepId: work.stepId, ...work.why }
        await this.#options.commands.send('targetRun', { type: 'fail-unclaimed-target-run', data }, by)
      }
    }
  }

  #assignment({ run, n }: Place, work: Job, state: Known): Assignment {
    const repeated = work.due.filter(({ id }) => Object.hasOwn(state.attempts, id))
    const [first] = work.due
    const { verify } = state
    const { secrets } = work
    const { connectSeconds } = run.request.timeouts ?? {}
    return {
      ...{ runId: run.runId, n, epoch: state.epoch, leaseSeconds: this.#options.leaseSeconds },
      ...{ target: work.target, credential: work.credential, steps: work.due },
      ...(secrets.length > 0 && { secrets }),
      attempts: Object.fromEntries(repeated.map(({ id }) => [id, nextAttempt(state, id)])),
      ...(verify && first?.id === verify.stepId && { verify: { ...verify, check: first.check ?? '' } }),
      ...(connectSeconds !== undefined && { connectSeconds }),
      safety: safetyOf(run.request, work.environment),
    }
  }

  async #append({ run, n }: Place, request: PullRequest, work: Job): Promise<Known | undefined> {
    const { commands, ids, leaseSeconds } = this.#options
    const { name, address, port } = work.target
    const data = {
      ...{ runId: run.runId, n, targetId: run.targetIds[n] ?? '', steps: work.rules, skip: work.skip, leaseSeconds },
      due: work.due.map(({ id }) => id),
      ...{ executorId: request.executorId, executorKey: request.publicKey, target: { name, address, port } },
      credential: work.credential && { credentialId: work.credential.credentialId, version: work.credential.version },
      ...(work.secrets.length > 0 && { secrets: work.secrets }),
    }
    try {
      // A new id for every try: two dispatchers that derived the same id would both believe that they hold the claim.
      const commandId = ids.next()
      const send = run.hasBegun(n) ? commands.send : commands.sendFirst
      const state = await send('targetRun', { type: 'claim-target-run', data }, this.#by(run, commandId))
      return state.status === 'absent' ? undefined : state
    } catch (err) {
      if (err instanceof DomainError) return undefined
      throw err
    }
  }

  async #handBack({ run, n }: Place, epoch: number, detail: string): Promise<void> {
    const commandId = derivedId('hand-back-target-run', run.runId, n, epoch)
    const data = { runId: run.runId, n, epoch, seq: 1, detail }
    await this.#options.commands.send('targetRun', { type: 'hand-back-target-run', data }, this.#by(run, commandId))
  }

  #by(run: Place['run'], commandId: string) {
    const { correlationId, requestEventId: causationId } = run.request
    return { actor: 'dispatcher', commandId, correlationId, causationId }
  }
}

const digest = rulesDigest(defaultRules)

/** What was confirmed were these rules: of other ones that bear the same names nobody has said anything. */
function safetyOf({ targets, confirmed }: RunRequest, environment: string | undefined): Assignment['safety'] {
  const rules = confirmed?.rulesDigest === digest ? confirmed.rules : []
  return { ...(environment !== undefined && { environment }), targets, confirmed: rules }
}
