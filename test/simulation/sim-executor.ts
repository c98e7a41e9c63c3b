import { pino } from 'pino'
import { Asking } from '../../executors/asking.ts'
import { ControlPlane, type ReportBody } from '../../executors/control-plane.ts'
import { type Answered, Heartbeat } from '../../executors/heartbeat.ts'
import { InFlight } from '../../executors/in-flight.ts'
import { Lease } from '../../executors/lease.ts'
import { recover } from '../../executors/recovery.ts'
import { type Bus, BusError, requestJson, subscribeJson } from '../../infra/bus.ts'
import type { Clock } from '../../infra/clock.ts'
import { type Identity, newIdentity, pullSignedText } from '../../infra/identity.ts'
import type { Ids } from '../../infra/ids.ts'
import { type Assignment, control, PROTOCOL, pullReply, subjects } from '../../schemas/bus.ts'
import type { Random } from '../crash/random.ts'
import type { Effects } from './effects.ts'
import { MemorySpool } from './memory-spool.ts'
import { SimWork } from './sim-work.ts'
import { newProcess, type Process, type Timeline } from './timeline.ts'

export type ExecutorWorld = {
  time: Timeline
  random: Random
  ids: Ids
  effects: Effects
  leaseSeconds: number
  connect(process: Process): Bus
  /** Whether things still go wrong on targets. */
  rough(): boolean
}
/** The keys of all of them, made anew for every run of the program: nothing that is decided hangs on them. */
const identities = [newIdentity(), newIdentity()] as const
type Life = { process: Process; bus: Bus; works: Map<string, SimWork>; lease: WatchedLease }

const log = pino({ level: 'silent' })
const SLOTS = 3
const WAIT_MS = 5_000
const keyOf = ({ runId, n, epoch }: { runId: string; n: number; epoch: number }) => `${runId}.${n}.${epoch}`

/** Knows since when it has not been over, not even for a moment. */
class WatchedLease extends Lease {
  unbrokenSince = Number.POSITIVE_INFINITY

  override heard(sentAt: number): void {
    if (this.remainingMs() === 0) this.unbrokenSince = sentAt
    super.heard(sentAt)
  }
}

/**
 * An executor as the protocol has it: its reports, heartbeats, lease and recovery are the real ones; what it does on
 * targets is written down in the effect ledger.
 */
export class SimExecutor {
  readonly id: string
  readonly pool: string
  readonly #world: ExecutorWorld
  readonly #spool: MemorySpool
  readonly #skewMs: number
  #identity: Identity = identities[0]
  #askedAt = 0
  #lives = 0
  #life: Life | undefined

  constructor(id: string, pool: string, world: ExecutorWorld) {
    this.id = id
    this.pool = pool
    this.#world = world
    this.#spool = new MemorySpool(() => (world.rough() ? world.random.next() : 0))
    this.#skewMs = (world.random.next() - 0.5) * 2_000
  }

  get publicKey(): string {
    return this.#identity.publicKey
  }

  /** The one it had was revoked. */
  renewKey(): void {
    this.#identity = identities[1]
  }

  get process(): Process | undefined {
    return this.#life?.process
  }

  start(): void {
    if (this.#life) return
    const { time, connect } = this.#world
    this.#lives += 1
    const process = newProcess(`${this.id}#${this.#lives}`, this.#skewMs)
    time.within(process, () => {
      const clock: Clock = { now: () => time.wallClock(process), monotonic: () => time.now }
      const lease = new WatchedLease(clock, this.#world.leaseSeconds)
      const life: Life = { process, bus: connect(process), works: new Map(), lease }
      this.#life = life
      void this.#live(life)
    })
  }

  /** Its works on targets go on or not; nobody hears of them. */
  kill(): void {
    const life = this.#life
    this.#life = undefined
    if (!life) return
    this.#world.time.kill(life.process)
    void life.bus.close()
  }

  /**
   * Works on it, and would begin something of it now. That is what a lease promises; of what it has handed back, because
   * nobody answered while its lease lasted, it begins nothing any more, and nothing is owed to it. `unbrokenMs`: and would
   * have all that time.
   */
  trusts(claim: { runId: string; n: number; epoch: number }, unbrokenMs: number): boolean {
    const { works, lease } = this.#life ?? {}
    if (works?.get(keyOf(claim))?.goesOn !== true || lease === undefined) return false
    return lease.remainingMs() > 0 && this.#world.time.now - lease.unbrokenSince >= unbrokenMs
  }

  loseSpool(): void {
    this.#spool.lose()
  }

  async #live({ process, bus, works, lease }: Life): Promise<void> {
    const { time, ids } = this.#world
    const clock: Clock = { now: () => time.wallClock(process), monotonic: () => time.now }
    const instanceId = ids.next()
    const spool = this.#spool.asReportSpool
    const who = { executorId: this.id, instanceId }
    const inFlight = new InFlight()
    const controlPlane = new ControlPlane({ ...who, bus, spool, clock, ids, log, inFlight })
    const asking = new Asking(clock, inFlight)
    const cancel = (claims: readonly { runId: string; n: number; epoch: number }[]) => {
      for (const claim of claims) works.get(keyOf(claim))?.cancel()
    }
    const handBack = (claims: readonly { runId: string; n: number; epoch: number }[] = []) => {
      for (const claim of claims) works.get(keyOf(claim))?.drain()
    }
    await recover(spool, controlPlane, clock)
    subscribeJson(bus, subjects.control(this.id), control, message => {
      if (message.kind === 'hello') return heartbeat.now()
      const { kind, stepId, ...claim } = message
      if (kind === 'cancel') cancel([claim])
      else if (kind === 'hand-back') handBack([claim])
      else works.get(keyOf(claim))?.cancelStep(stepId)
    })
    const onAnswer = (answered: Answered) => {
      const { reply } = answered
      cancel([...reply.cancel, ...reply.forget])
      handBack(reply.handBack)
      for (const { stepId, ...claim } of reply.cancelSteps ?? []) works.get(keyOf(claim))?.cancelStep(stepId)
      asking.heard(answered)
    }
    const active = () => spool.held()
    const heartbeat = new Heartbeat({ ...who, capacity: SLOTS, bus, lease, clock, active, onAnswer })
    void heartbeat.run(new AbortController().signal)
    const tell = (body: ReportBody) => controlPlane.report(body)
    const parts = { ...this.#world, executorId: this.id, clock, lease, controlPlane, spool, tell }
    await this.#pull({ bus, works, instanceId, clock, lease, asking }, assignment => new SimWork(parts, assignment))
  }

  async #pull(
    {
      bus,
      works,
      instanceId,
      clock,
      lease,
      asking,
    }: Pick<Life, 'bus' | 'works'> & {
      instanceId: string
      clock: Clock
      lease: Lease
      asking: Asking
    },
    begin: (assignment: Assignment) => SimWork,
  ): Promise<never> {
    const take = (assignments: readonly Assignment[]) => {
      for (const assignment of assignments) {
        const key = keyOf(assignment)
        if (works.has(key)) continue
        lease.adopt(assignment.leaseSeconds)
        const work = begin(assignment)
        works.set(key, work)
        void work.run().then(() => works.delete(key))
      }
    }
    for (;;) {
      // Only heartbeats tell that its claims are held; before one is answered nothing could be begun.
      const slots = lease.remainingMs() > 0 ? SLOTS - works.size : 0
      const answer = slots > 0 ? this.#ask(bus, this.#question(instanceId, slots, clock)) : undefined
      const assignments = answer && (await asking.answer(answer))
      if (assignments) take(assignments)
      // What is not waited for any more is taken all the same.
      else void answer?.then(late => take(late ?? []))
      if (!assignments) await asking.pause(pause(100 + this.#world.random.next() * 300))
    }
  }

  /** Signed, and each later than the one before whatever the clock does. */
  #question(instanceId: string, slots: number, clock: Clock) {
    this.#askedAt = Math.max(this.#askedAt + 1, Date.parse(clock.now()))
    const at = new Date(this.#askedAt).toISOString()
    const of = { executorId: this.id, instanceId, at, slots, pool: this.pool }
    const { publicKey } = this
    const program = {
      publicKey,
      version: 'simulated',
      protocol: PROTOCOL,
      signature: this.#identity.sign(pullSignedText(of)),
    }
    return { executorId: this.id, instanceId, at, slots, waitMs: WAIT_MS, labels: {}, ...program }
  }

  async #ask(bus: Bus, request: object): Promise<Assignment[] | undefined> {
    try {
      const options = { timeoutMs: WAIT_MS + 3_000 }
      return (await requestJson(bus, subjects.pull(this.pool), pullReply, request, options)).assignments
    } catch (error) {
      if (error instanceof BusError) return undefined
      throw error
    }
  }
}

export const pause = (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms))
