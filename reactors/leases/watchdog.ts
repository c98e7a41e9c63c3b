import { DomainError, type TargetRun } from '../../command-api/domain/index.ts'
import type { Clock } from '../../infra/clock.ts'
import { derivedId } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import type { Heartbeat, HeartbeatReply, PullRequest } from '../../schemas/bus.ts'
import { streams } from '../../schemas/events.ts'
import type { Commands } from '../commands.ts'
import type { ActiveRun } from '../runs/active-run.ts'
import type { ActiveRuns } from '../runs/active-runs.ts'
import type { Claim } from '../runs/target-runs.ts'
import { LeaseTable } from './lease-table.ts'

type Options = {
  commands: Commands
  runs: ActiveRuns
  clock: Clock
  log: Log
  leaseSeconds: number
  /** Nothing is waited for: what such an executor holds is over. */
  isRevoked?(executorId: string): boolean
}
type Active = Heartbeat['active'][number]

const TICK_MS = 500
/** A tick so late means that this process stood still, and with it everything that would have been heard. */
const STALL_MS = 2_000

/** Hears heartbeats, tells executors what to stop, and takes back what is not being worked on any more. */
export class Watchdog {
  readonly #options: Options
  readonly #table: LeaseTable
  /**
   * Claims whose end was asked for, which may be in the log whatever the answer: nothing is taken back. `started`: what
   * was known when it was asked. Asking again says the same: a step that was started meanwhile was not judged lost.
   */
  readonly #ending = new WeakMap<Claim, { asked: 'asking' | 'unknown' | 'done'; started: boolean }>()
  #timer: NodeJS.Timeout | undefined
  #lastTick = 0
  #deaf = false

  constructor(options: Options) {
    this.#options = options
    this.#table = new LeaseTable(options.leaseSeconds * 1000)
  }

  start(): void {
    this.#lastTick = this.#now()
    this.#table.forgive(this.#lastTick)
    this.beginSession()
    this.#timer = setInterval(() => this.tick(), TICK_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** What was sent so far has arrived when answers from now on do, or never will. */
  beginSession(): void {
    const claims = [...this.#options.runs.all()].flatMap(run => [...run.claims.values()])
    this.#table.beginSession(claims, this.#now())
  }

  /** Without the broker nobody can be heard, so nobody's silence counts. */
  deaf(deaf: boolean): void {
    this.#deaf = deaf
    this.#table.forgive(this.#now())
  }

  /** Undefined: an executor whose claim is being ended must not take it for held because it was heard. */
  async heartbeat(
    { executorId, instanceId, active }: Heartbeat,
    upToDate: boolean,
  ): Promise<HeartbeatReply | undefined> {
    const now = this.#now()
    this.#table.heard(executorId, instanceId, now, upToDate)
    const cancel: Active[] = []
    const handBack: Active[] = []
    const cancelSteps: NonNullable<HeartbeatReply['cancelSteps']> = []
    const doubtful: Active[] = []
    let ending = false
    for (const each of active) {
      const run = this.#options.runs.get(each.runId)
      const claim = run?.claims.get(each.n)
      if (run && claim && claim.epoch === each.epoch && claim.executorId === executorId) {
        this.#table.listed(claim, now)
        ending ||= this.#ending.has(claim)
        if (isBeingCancelled(run, each.n)) cancel.push(each)
        else if (run.paused) handBack.push(each)
        const stepId = run.unwantedSteps.get(each.n)
        if (stepId !== undefined) cancelSteps.push({ ...each, stepId })
      } else doubtful.push(each)
    }
    if (ending) return undefined
    const over = await Promise.all(doubtful.map(each => this.#isOver(executorId, each)))
    return { cancel, forget: doubtful.filter((_, i) => over[i]), handBack, cancelSteps }
  }

  /** Asked for work: it may be another process than the one that holds its claims. */
  asked({ executorId, instanceId }: Pick<PullRequest, 'executorId' | 'instanceId'>): void {
    this.#table.met(executorId, instanceId, this.#now())
  }

  /** A report is a sign of life for the claim it is about. */
  reported(claim: Claim): void {
    this.#table.listed(claim, this.#now())
  }

  /**
   * The log tells that a step was started: its executor has got the claim, whichever process it said so to. What two at
   * work hand out and hear is told to one of them only.
   */
  started(claim: Claim | undefined, epoch: number): void {
    if (claim?.epoch === epoch) this.#table.listed(claim, this.#now())
  }

  /** Its executor handed it back although a step had been started. */
  givenUp(claim: Claim): void {
    this.#table.givenUp(claim, this.#now())
  }

  tick(): void {
    const now = this.#now()
    if (now - this.#lastTick > STALL_MS) this.#table.forgive(now)
    this.#lastTick = now
    this.#table.prune(now)
    for (const run of this.#options.runs.all()) {
      for (const [n, claim] of run.claims) {
        const ending = this.#ending.get(claim)
        if (ending?.asked === 'unknown' || (!ending && this.#isLost(claim, now))) void this.#expire(run, n, claim)
      }
    }
  }

  #isLost(claim: Claim, now: number): boolean {
    if (this.#options.isRevoked?.(claim.executorId)) return true
    return !this.#deaf && this.#table.isOver(claim, now)
  }

  /** What this process knows may lag behind the log, so the log is asked before an executor is told to forget. */
  async #isOver(executorId: string, { runId, n, epoch }: Active): Promise<boolean> {
    try {
      const state = await this.#options.commands.fresh('targetRun', streams.targetRun(runId, n))
      return !holds(state, executorId, epoch)
    } catch {
      return false
    }
  }

  async #expire(run: ActiveRun, n: number, claim: Claim): Promise<void> {
    const { runId, correlationId, requestEventId: causationId } = run.request
    const { epoch, executorId } = claim
    const started = this.#ending.get(claim)?.started ?? claim.started
    const by = { actor: 'watchdog', commandId: derivedId('expire-lease', runId, n, epoch), correlationId, causationId }
    this.#ending.set(claim, { asked: 'asking', started })
    try {
      await this.#options.commands.send('targetRun', { type: 'expire-lease', data: { runId, n, epoch, started } }, by)
      this.#ending.set(claim, { asked: 'done', started })
      this.#options.log.warn({ runId, n, epoch, executorId }, 'lease expired')
    } catch (err) {
      const refused = err instanceof DomainError
      if (refused) this.#ending.delete(claim)
      else this.#ending.set(claim, { asked: 'unknown', started })
      this.#options.log[refused ? 'debug' : 'warn']({ err, runId, n, epoch }, 'the lease could not be ended')
    }
  }

  #now(): number {
    return this.#options.clock.monotonic()
  }
}

/** A run that is over keeps only claims that should not be there. */
const isBeingCancelled = (run: ActiveRun, n: number) =>
  run.status === 'cancelling' || run.status === 'ended' || run.unwanted.has(n)

function holds(state: TargetRun, executorId: string, epoch: number): boolean {
  if (state.status !== 'claimed' && state.status !== 'running') return false
  return state.epoch === epoch && state.claim?.executorId === executorId
}
