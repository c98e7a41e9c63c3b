import { DomainError, isFinished, type TargetRun } from '../../command-api/domain/index.ts'
import { derivedId } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import type { ReportMessage, ReportReply } from '../../schemas/bus.ts'
import { streams } from '../../schemas/events.ts'
import { ProblemError } from '../../schemas/problems.ts'
import { hostKey as hostKeySchema } from '../../schemas/target.ts'
import type { By, Commands } from '../commands.ts'
import type { ActiveRuns } from '../runs/active-runs.ts'
import type { Claim } from '../runs/target-runs.ts'

type Options = {
  commands: Commands
  runs: ActiveRuns
  log: Log
  onSign(claim: Claim): void
  /** Handed back, which was refused because a step had been started. */
  onGivenUp(claim: Claim): void
}
type Report = ReportMessage['report']
type Start = Extract<Report, { type: 'start-step' }>['data']
type HostKeyReport = Extract<Report, { type: 'observe-host-key' | 'report-host-key-mismatch' }>
type TargetRunReport = Exclude<Report, HostKeyReport>

const recorded: ReportReply = { status: 'recorded' }
const isAt = (state: TargetRun, { epoch, stepId }: Start): boolean =>
  state.status === 'running' && state.epoch === epoch && state.stepId === stepId
const refused = (code: string, detail: string): ReportReply => ({ status: 'refused', code, detail })

/**
 * What executors report becomes a command with the report's id, so that a report sent twice is written once. Reports
 * on one target run are taken one after the other, in the order they came.
 */
export class Reports {
  readonly #options: Options
  readonly #tails = new Map<string, Promise<unknown>>()

  constructor(options: Options) {
    this.#options = options
  }

  /** Rejects when it could not be recorded now and may be sent again. */
  receive(message: ReportMessage): Promise<ReportReply> {
    const { runId, n } = message.report.data
    const key = streams.targetRun(runId, n)
    const before = this.#tails.get(key) ?? Promise.resolve()
    const work = before.then(() => this.#take(message))
    const settled = work.then(
      () => undefined,
      () => undefined,
    )
    this.#tails.set(key, settled)
    void settled.then(() => this.#tails.get(key) === settled && this.#tails.delete(key))
    return work
  }

  async #take(message: ReportMessage): Promise<ReportReply> {
    const { report, executorId } = message
    const { runId, n, epoch } = report.data
    const run = this.#options.runs.get(runId)
    const claim = run?.claims.get(n)
    const own = claim?.epoch === epoch && claim.executorId === executorId ? claim : undefined
    if (own) this.#options.onSign(own)
    try {
      if (report.type === 'observe-host-key' || report.type === 'report-host-key-mismatch') {
        return await this.#hostKey(message, report)
      }
      if (report.type === 'start-step' && !(await this.#mayStart(report.data))) {
        return refused('run-finished', 'the run is being cancelled or has ended')
      }
      const before = await this.#holder(message)
      const after = await this.#options.commands.send('targetRun', report, this.#by(message))
      if (report.type === 'start-step') await this.#requireGoing(report.data, before, after)
      return recorded
    } catch (err) {
      if (!(err instanceof ProblemError)) throw err
      if (own && report.type === 'hand-back-target-run' && err.code === 'step-already-started')
        this.#options.onGivenUp(own)
      return this.#refusal(message, err)
    }
  }

  /** The one check a target run cannot make for itself: nothing begins in a run that is being cancelled or is over. */
  async #mayStart({ runId, n }: { runId: string; n: number }): Promise<boolean> {
    const known = this.#options.runs.get(runId)
    if (known) return known.status !== 'cancelling' && known.status !== 'ended' && !known.unwanted.has(n)
    const run = await this.#options.commands.fresh('run', streams.run(runId))
    return !isFinished(run) && run.status !== 'absent' && run.status !== 'cancelling'
  }

  /**
   * A start that is told again was written before, maybe long ago: it is leave no more once its lease was ended, which
   * another process may have done.
   */
  async #requireGoing(start: Start, before: TargetRun, after: TargetRun): Promise<void> {
    const again = isAt(before, start)
    const now = again ? await this.#options.commands.fresh('targetRun', streams.targetRun(start.runId, start.n)) : after
    if (!isAt(now, start)) throw new DomainError('stale-epoch', `the step ${start.stepId} was given up after its start`)
  }

  async #refusal(message: ReportMessage, { code, message: detail }: ProblemError): Promise<ReportReply> {
    const { report, reportId, executorId } = message
    const { runId, n } = report.data
    this.#options.log.info({ runId, n, executorId, report: report.type, code }, 'report refused')
    if (code !== 'stale-epoch') return refused(code, detail)
    await this.#recordStale(message)
    return { status: 'stale', code, detail: `report ${reportId}: ${detail}`.slice(0, 500) }
  }

  async #recordStale(message: ReportMessage): Promise<void> {
    const { report, reportId } = message
    const { runId, n, epoch } = report.data
    const seq = 'seq' in report.data ? report.data.seq : 0
    const data = { runId, n, epoch, report: report.type, seq }
    const by = { ...this.#by(message), commandId: derivedId('record-stale-report', reportId) }
    await this.#options.commands.send('targetRun', { type: 'record-stale-report', data }, by)
  }

  /** Only who holds a claim may speak for it, and only for its epoch: the rest is decided by the target run. */
  async #holder({
    report,
    executorId,
  }: {
    report: TargetRunReport | HostKeyReport
    executorId: string
  }): Promise<TargetRun> {
    const { runId, n, epoch } = report.data
    const state = await this.#options.commands.active(streams.targetRun(runId, n))
    if (state.status !== 'absent' && state.epoch === epoch && state.claim?.executorId !== executorId) {
      throw new DomainError('forbidden', 'another executor holds this claim')
    }
    return state
  }

  /** Goes to the target, once it is clear that the one who saw the key works on that target now. */
  async #hostKey(message: ReportMessage, report: HostKeyReport): Promise<ReportReply> {
    const { runId, epoch, targetId } = report.data
    const state = await this.#holder({ report, executorId: message.executorId })
    const current = state.status === 'claimed' || state.status === 'running'
    if (!current || state.epoch !== epoch) throw new DomainError('stale-epoch', 'this claim is over')
    if (state.targetId !== targetId) return refused('invalid-input', 'the claim is on another target')
    const seen = hostKeySchema.safeParse(
      report.type === 'observe-host-key' ? report.data.hostKey : report.data.presented,
    )
    if (!seen.success) return refused('invalid-input', 'not an OpenSSH public key')
    const by = this.#by(message)
    if (report.type === 'report-host-key-mismatch') {
      const data = { targetId, presented: seen.data, runId }
      await this.#options.commands.send('target', { type: 'report-host-key-mismatch', data }, by)
      return recorded
    }
    const data = { targetId, hostKey: seen.data, runId }
    const target = await this.#options.commands.send('target', { type: 'observe-host-key', data }, by)
    // Another key may have been first: then this one was written down as a mismatch and must not be trusted.
    if (target.status !== 'absent' && target.hostKey?.key === seen.data) return recorded
    return refused('host-key-mismatch', 'another key is known for this target')
  }

  #by({ reportId, executorId, report }: ReportMessage): By {
    return {
      commandId: reportId,
      correlationId: this.#options.runs.get(report.data.runId)?.request.correlationId ?? report.data.runId,
      causationId: reportId,
      actor: { kind: 'executor', id: executorId },
      origin: { channel: 'executor' },
    }
  }
}
