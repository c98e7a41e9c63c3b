import { type Bus, BusError, BusRemoteError, requestJson, subscribeJson } from '../infra/bus.ts'
import { type Identity, pullSignedText } from '../infra/identity.ts'
import { PROGRAM_VERSION } from '../infra/version.ts'
import {
  type Assignment,
  type Control,
  control,
  type Order,
  PROTOCOL,
  type PullReply,
  pullReply,
  subjects,
} from '../schemas/bus.ts'
import { Asking } from './asking.ts'
import type { ExecutorContext } from './context.ts'
import { type Answered, Heartbeat } from './heartbeat.ts'
import type { InFlight } from './in-flight.ts'
import type { Membership } from './membership.ts'
import type { Held } from './spool/report-spool.ts'
import { TargetRunWork } from './target-run.ts'
import { backoffMs, pause, within } from './wait.ts'

export type WorkerOptions = ExecutorContext & {
  bus: Bus
  identity: Identity
  executorId: string
  instanceId: string
  membership: Membership
  /** Reports and output on their way. */
  inFlight: InFlight
  /** Where it asks first; the control plane knows better. */
  poolName: string
  slots: number
  labels: Record<string, string>
}

const WAIT_MS = 10_000
const ANSWER_MS = WAIT_MS + 5_000
const UNHEARD_MS = 50
/** Slots that become free together are asked for together. */
const GATHER_MS = 5

const keyOf = ({ runId, n, epoch }: Held) => `${runId}.${n}.${epoch}`

/** Asks for work as long as there is room for it, and does it. */
export class Worker {
  readonly #options: WorkerOptions
  readonly #work = new Map<string, TargetRunWork>()
  readonly #stopping = new AbortController()
  readonly #ended = new AbortController()
  readonly #stopped = new Promise<undefined>(resolve => {
    this.#stopping.signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  readonly #heartbeat: Heartbeat
  readonly #asking: Asking
  #loops: Promise<unknown> = Promise.resolve()
  #pool: string
  #askedAt = 0
  #onFree: () => void = () => undefined

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#pool = options.poolName
    this.#asking = new Asking(options.clock, options.inFlight)
    this.#heartbeat = new Heartbeat({
      ...options,
      active: () => options.spool.held(),
      capacity: options.slots,
      onAnswer: answered => this.#answered(answered),
    })
  }

  start(): void {
    const { bus, executorId } = this.#options
    subscribeJson(bus, subjects.control(executorId), control, message => this.#control(message))
    this.#loops = Promise.all([this.#heartbeat.run(this.#ended.signal), this.#pull()])
  }

  /** Whether the control plane was heard of lately. */
  isHeard(): boolean {
    return this.#options.lease.remainingMs() > 0
  }

  get busy(): number {
    return this.#work.size
  }

  /** Takes no more work, gives back what has not begun, and waits for what has. True when all of it ended. */
  async drain(withinMs: number): Promise<boolean> {
    this.#stopping.abort()
    for (const work of this.#work.values()) work.drain()
    const until = performance.now() + withinMs
    while (this.#work.size > 0 && performance.now() < until) {
      await within(until - performance.now(), new Promise<void>(resolve => (this.#onFree = resolve)))
    }
    return this.#work.size === 0
  }

  /** Ends the heartbeat; nothing may run any more. */
  async end(): Promise<void> {
    this.#stopping.abort()
    this.#ended.abort()
    await this.#loops
  }

  async #pull(): Promise<void> {
    const { signal } = this.#stopping
    for (let failures = 0; !signal.aborted; ) {
      // Only heartbeats are what the control plane goes by; before one is answered nothing could be begun.
      if (!this.isHeard()) {
        await pause(UNHEARD_MS, signal)
        continue
      }
      const free = this.#options.slots - this.#work.size
      if (free <= 0) {
        await this.#free()
        await pause(GATHER_MS)
        continue
      }
      const assignments = await this.#ask(free)
      failures = assignments ? 0 : failures + 1
      if (!assignments) await this.#asking.pause(pause(backoffMs(failures, 1_000), signal))
      else for (const assignment of assignments) this.#take(assignment)
    }
  }

  async #ask(slots: number): Promise<Assignment[] | undefined> {
    const { bus, membership, log } = this.#options
    const answer = requestJson(bus, subjects.pull(this.#pool), pullReply, this.#question(slots), {
      timeoutMs: ANSWER_MS,
    })
    try {
      const reply = await this.#asking.answer(Promise.race([answer, this.#stopped]))
      if (reply) return this.#given(reply)
      answer.then(late => this.#takeLate(late)).catch(() => undefined)
      return this.#stopping.signal.aborted ? undefined : []
    } catch (err) {
      if (!(err instanceof BusError)) throw err
      if (!(err instanceof BusRemoteError)) log.debug({ err }, 'nobody gave out work')
      else if (this.#moveTo(await membership.refused(err.code, err.message))) return []
      return undefined
    }
  }

  #given({ assignments }: PullReply): Assignment[] {
    this.#options.membership.accepted()
    return assignments
  }

  /** The answer to a question nobody waits for any more; when this is being stopped it is given back at once. */
  #takeLate(reply: PullReply): void {
    for (const assignment of this.#given(reply)) {
      const work = this.#take(assignment)
      if (this.#stopping.signal.aborted) work?.drain()
    }
  }

  #answered(answered: Answered): void {
    const { cancel, forget, cancelSteps = [], handBack = [], pool } = answered.reply
    this.#moveTo(pool)
    this.#cancel([...cancel, ...forget])
    for (const step of cancelSteps) this.#carryOutOrder({ kind: 'cancel-step', ...step })
    for (const held of handBack) this.#carryOutOrder({ kind: 'hand-back', ...held })
    this.#asking.heard(answered)
  }

  /** A question for work, signed, each later than the one before whatever the clock does. */
  #question(slots: number) {
    const { executorId, instanceId, identity, labels, clock } = this.#options
    this.#askedAt = Math.max(this.#askedAt + 1, Date.parse(clock.now()))
    const at = new Date(this.#askedAt).toISOString()
    const signature = identity.sign(pullSignedText({ executorId, instanceId, at, slots, pool: this.#pool }))
    const program = { version: PROGRAM_VERSION, protocol: PROTOCOL, publicKey: identity.publicKey }
    return { executorId, instanceId, slots, waitMs: WAIT_MS, labels, at, signature, ...program }
  }

  /** True when there is a pool to ask in. */
  #moveTo(pool: string | undefined): boolean {
    if (pool === undefined) return false
    if (pool !== this.#pool) this.#options.log.info({ from: this.#pool, to: pool }, 'takes its work from another pool')
    this.#pool = pool
    return true
  }

  #take(assignment: Assignment): TargetRunWork | undefined {
    const { lease } = this.#options
    const work = new TargetRunWork(this.#options, assignment)
    const key = keyOf(work.held)
    if (this.#work.has(key)) return undefined
    lease.adopt(assignment.leaseSeconds)
    this.#work.set(key, work)
    void this.#carryOut(key, work)
    return work
  }

  async #carryOut(key: string, work: TargetRunWork): Promise<void> {
    const { spool, log } = this.#options
    try {
      const { delivered } = await work.run()
      // Until it is acknowledged the claim stays in the heartbeats; the slot is free already.
      void delivered.then(answer => answer && spool.release(work.held))
    } catch (err) {
      log.error({ err, ...work.held }, 'a target run could not be reported')
    } finally {
      this.#work.delete(key)
      this.#onFree()
    }
  }

  #control(message: Control): void {
    if (message.kind === 'hello') this.#heartbeat.now()
    else this.#carryOutOrder(message)
  }

  #carryOutOrder({ kind, stepId, ...claim }: Order): void {
    const work = this.#work.get(keyOf(claim))
    if (kind === 'cancel') work?.cancel()
    else if (kind === 'cancel-step') work?.cancelStep(stepId)
    else work?.drain()
  }

  #cancel(claims: Held[]): void {
    for (const { runId, n, epoch } of claims) this.#work.get(keyOf({ runId, n, epoch }))?.cancel()
  }

  async #free(): Promise<void> {
    const free = new Promise<void>(resolve => {
      this.#onFree = resolve
    })
    await Promise.race([free, this.#stopped])
  }
}
