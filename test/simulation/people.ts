import { createDispatcher, type Dispatcher } from '../../command-api/dispatch.ts'
import {
  type CommandOf,
  isFinished,
  type Job,
  type Run,
  type RunFacts,
  type TargetRun,
} from '../../command-api/domain/index.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import type { Ids } from '../../infra/ids.ts'
import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import { ProblemError } from '../../schemas/problems.ts'
import type { Random } from '../crash/random.ts'
import { credentialId, type PlannedRun } from './scenario.ts'
import type { SimLog } from './sim-log.ts'
import type { Process, Timeline } from './timeline.ts'

type Known = Exclude<Run, { status: 'absent' }>

const factsOf = (job: Job, targetIds: readonly string[]): RunFacts => ({
  job,
  targets: targetIds.map(targetId => ({ targetId, status: 'active' })),
  credentials: new Map([[credentialId, 'active']]),
})
type Parts = { time: Timeline; random: Random; ids: Ids; log: SimLog; store: EventStore; process: Process }

/** Those who trigger, cancel, pause, approve and resolve, through the same rules as everybody. */
export class People {
  readonly #parts: Parts
  readonly #dispatcher: Dispatcher

  constructor(parts: Parts) {
    const { time, process, store } = parts
    this.#parts = parts
    const clock = { now: () => time.wallClock(process), monotonic: () => time.now }
    this.#dispatcher = createDispatcher({ store, clock })
  }

  /** Asked again until it is answered, as a client would with the same id. */
  async trigger({ runId, jobId, targetIds }: PlannedRun): Promise<void> {
    const command = { type: 'trigger-run', data: { runId, jobId, selection: { targetIds } } } as const
    const meta = this.#meta('anna')
    for (let asked = false; !asked; ) {
      asked = await this.#try(async () => {
        const { state: job } = await this.#dispatcher.load('job', streams.job(jobId))
        await this.#dispatcher.dispatch('run', command, { meta, facts: factsOf(job, targetIds) })
      })
    }
  }

  /** Does something to some run, whether or not that makes sense at the time. */
  meddle(): void {
    const { random, log } = this.#parts
    const runs = this.runs()
    if (runs.length === 0) return
    const [runId, run] = random.pick(runs)
    const n = Math.floor(random.next() * run.targetIds.length)
    const target = log.targetRun(runId, n)
    const kind = random.next()
    if (kind < 0.15) this.#run({ type: 'cancel-run', data: { runId } })
    else if (kind < 0.35) this.#run({ type: run.paused ? 'resume-run' : 'pause-run', data: { runId } })
    else if (kind < 0.5) this.#targetRun({ type: 'cancel-target-run', data: { runId, n } }, run)
    else if (kind < 0.7 && target.status === 'running')
      this.#targetRun({ type: 'cancel-step', data: { runId, n, stepId: target.stepId } }, run)
    else if (kind < 0.85) this.#resolve(runId, n, run, target)
    else if (kind < 0.9) this.#decide(runId, run)
    else if (kind < 0.95) void this.#rerun(runId, run)
    else this.#fallenBehind(runId, n, run, target)
  }

  /** A process that knows only what was true before ends what is long over. */
  #fallenBehind(runId: string, n: number, run: Known, target: TargetRun): void {
    if (target.status === 'absent') return
    const epoch = this.#parts.random.next() < 0.5 ? target.epoch - 1 : target.epoch
    if (epoch < 1 || (epoch === target.epoch && target.status !== 'running')) return
    this.#targetRun({ type: 'expire-lease', data: { runId, n, epoch, started: epoch < target.epoch } }, run)
  }

  /** Once more, from any of its steps on or from the first. */
  async #rerun(of: string, { requested, targetIds, gates }: Known): Promise<void> {
    const { ids, random } = this.#parts
    const meta = this.#meta('anna')
    await this.#try(async () => {
      const { state: job } = await this.#dispatcher.load('job', streams.job(requested.jobId))
      const steps = job.status === 'absent' ? [] : (job.versions.at(-1)?.steps ?? [])
      const fromStep = random.next() < 0.8 ? random.pick(steps).id : undefined
      const data = { runId: ids.next(), of, ...(fromStep !== undefined && { fromStep }) }
      const facts = { ...factsOf(job, targetIds), earlier: { requested, targetIds, gates } }
      await this.#dispatcher.dispatch('run', { type: 'rerun', data }, { meta, facts })
    })
  }

  /** From now on nothing it says counts. */
  revoke(executorId: string): void {
    const meta = this.#meta('anna')
    const command = { type: 'revoke-executor', data: { executorId, reason: 'it is not ours any more' } } as const
    void this.#try(() => this.#dispatcher.dispatch('executor', command, { meta, facts: undefined }))
  }

  /** Sees to everything that waits for a person. */
  tidyUp(): void {
    const { log } = this.#parts
    for (const runId of log.goingOn) {
      const run = log.run(runId)
      if (run.status === 'absent') continue
      if (run.paused) this.#run({ type: 'resume-run', data: { runId } })
      this.#decide(runId, run)
      for (const n of run.targetIds.keys()) this.#resolve(runId, n, run, log.targetRun(runId, n))
    }
  }

  runs(): Array<[string, Known]> {
    const { log } = this.#parts
    return [...log.runs].flatMap(runId => {
      const run = log.run(runId)
      return run.status === 'absent' ? [] : [[runId, run] satisfies [string, Known]]
    })
  }

  #decide(runId: string, run: Known): void {
    const { random } = this.#parts
    for (const [stepId, gate] of Object.entries(run.gates)) {
      if (gate.kind !== 'approval' || gate.status !== 'open') continue
      const who = random.pick(['anna', 'ben', 'cleo'])
      if (random.next() < 0.2) this.#run({ type: 'deny-approval', data: { runId, stepId, reason: 'not now' } }, who)
      else this.#run({ type: 'grant-approval', data: { runId, stepId, digest: gate.bound?.digest } }, who)
    }
  }

  #resolve(runId: string, n: number, run: Known, target: TargetRun): void {
    if (target.status !== 'needs-attention' || target.stepId === undefined) return
    const as = this.#parts.random.pick(['succeeded', 'failed', 'retry'] as const)
    const data = { runId, n, stepId: target.stepId, as, reason: 'looked at it' }
    this.#targetRun({ type: 'resolve-step', data }, run)
  }

  #run(command: CommandOf<'run'>, who = 'anna'): void {
    const meta = this.#meta(who)
    void this.#try(() => this.#dispatcher.dispatch('run', command, { meta, facts: undefined }))
  }

  #targetRun(command: CommandOf<'targetRun'>, run: Known): void {
    const meta = this.#meta('anna')
    const facts = { targetId: run.targetIds[command.data.n], runFinished: isFinished(run) }
    void this.#try(() => this.#dispatcher.dispatch('targetRun', command, { meta, facts }))
  }

  async #try(act: () => Promise<unknown>): Promise<boolean> {
    try {
      await act()
      return true
    } catch (error) {
      if (error instanceof ProblemError) return true
      return false
    }
  }

  #meta(who: string): Meta {
    const { ids, time, process } = this.#parts
    const commandId = ids.next()
    const of = { commandId, $correlationId: commandId, $causationId: commandId }
    return { ...of, actor: { kind: 'user', id: who }, origin: { channel: 'cli' }, at: time.wallClock(process) }
  }
}
