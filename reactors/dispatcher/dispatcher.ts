import type { BusMessage } from '../../infra/bus.ts'
import type { Clock } from '../../infra/clock.ts'
import type { Log } from '../../infra/log.ts'
import type { Assignment, PullReply, PullRequest } from '../../schemas/bus.ts'
import type { Commands } from '../commands.ts'
import type { ActiveRun, Labels } from '../runs/active-run.ts'
import type { ActiveRuns, Reservation } from '../runs/active-runs.ts'
import type { Claims } from './claims.ts'
import { deal } from './deal.ts'
import { type Job, type Prepared, prepare } from './work-source.ts'

type Parked = {
  request: PullRequest
  pool: string
  labels: Labels
  answer(reply: PullReply): void
  /** False when nobody is there any more to hear it. */
  deliver(reply: PullReply): Promise<boolean>
  timer: NodeJS.Timeout
  /** It has waited as long as it wanted to, or may no longer have what it asked for: it is not kept waiting. */
  late: boolean
  /** The same executor asked again meanwhile: it no longer waits for the answer to this one. */
  next: Parked | undefined
}
type Options = {
  commands: Pick<Commands, 'known' | 'active' | 'lacks' | 'catalogue'>
  runs: ActiveRuns
  claims: Pick<Claims, 'claim' | 'settle' | 'takeBack'>
  clock: Clock
  log: Log
  /** A place that was taken for a claim is free again. */
  onRelease(run: ActiveRun): void
}

/** How much of one answer may be steps; the broker carries 1 MiB. A single assignment may be larger. */
const MAX_ANSWER_BYTES = 900_000
/** After a failed append the log may still get to know of it: time to hear so before the place is given out again. */
const RELEASE_AFTER_FAILURE_MS = 500

/** Keeps executors that ask for work waiting until there is some, and gives it out. */
export class Dispatcher {
  readonly #options: Options
  readonly #parked = new Set<Parked>()
  /** What each executor asked last, as long as it is not answered. */
  readonly #newest = new Map<string, Parked>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #serving = new Set<Promise<void>>()
  #stopped = false

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * An executor asks. It is answered once: when there is work for it, or with none after `waitMs`. It asks one question
   * at a time, so when it asks anew (it lost the connection, or was started again) the older question gets no work.
   * `labels`: as the log has them.
   */
  pull(request: PullRequest, message: Pick<BusMessage, 'reply' | 'deliver' | 'subject'>, labels: Labels): void {
    const timer = setTimeout(() => {
      parked.late = true
      if (this.#parked.has(parked)) this.#sendAway(parked)
    }, request.waitMs)
    const pool = message.subject.slice(message.subject.lastIndexOf('.') + 1)
    const answer = (reply: PullReply) => message.reply(JSON.stringify(reply))
    const deliver = (reply: PullReply) => message.deliver(JSON.stringify(reply))
    const parked: Parked = { request, pool, labels, answer, deliver, timer, late: false, next: undefined }
    const older = this.#newest.get(request.executorId)
    this.#newest.set(request.executorId, parked)
    if (older && !this.#succeed(older, parked)) return
    this.#park(parked)
    this.wake()
  }

  /** Whether a question of this process waits for its answer. */
  isAsked({ executorId, instanceId }: Pick<PullRequest, 'executorId' | 'instanceId'>): boolean {
    return this.#newest.get(executorId)?.request.instanceId === instanceId
  }

  /** False when work is being claimed for the older question: that will be the answer to the newer one. */
  #succeed(older: Parked, newer: Parked): boolean {
    older.next = newer
    if (!this.#parked.has(older)) return false
    this.#sendAway(older)
    return true
  }

  /** There may be work or room for it. */
  wake(): void {
    if (this.#stopped || this.#parked.size === 0) return
    const hands = deal(this.#parked, (pool, labels) => this.#options.runs.reserve(pool, labels))
    for (const [parked, hand] of hands) {
      this.#parked.delete(parked)
      const serving = this.#serve(parked, hand).finally(() => this.#serving.delete(serving))
      this.#serving.add(serving)
    }
  }

  /**
   * Whoever waits under this name is sent away with nothing: it may no longer have what it asked for. Where work is being
   * looked up for it, that is so when nothing came of that.
   */
  dismiss(executorId: string): void {
    const newest = this.#newest.get(executorId)
    if (newest) newest.late = true
    for (const parked of this.#parked) if (parked.request.executorId === executorId) this.#sendAway(parked)
  }

  /** Sends everybody away; resolves when what is being claimed is answered. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const parked of this.#parked) this.#sendAway(parked)
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.all(this.#serving)
  }

  #park(parked: Parked): void {
    if (this.#stopped || parked.late) this.#sendAway(parked)
    else this.#parked.add(parked)
  }

  #sendAway(parked: Parked): void {
    this.#unpark(parked)
    parked.answer({ assignments: [] })
  }

  async #give(parked: Parked, assignments: Assignment[]): Promise<void> {
    this.#unpark(parked)
    if (await parked.deliver({ assignments })) return
    this.#options.log.info({ executorId: parked.request.executorId }, 'whoever asked for work is gone: taking it back')
    await Promise.all(assignments.map(each => this.#options.claims.takeBack(each)))
  }

  #unpark(parked: Parked): void {
    clearTimeout(parked.timer)
    this.#parked.delete(parked)
    const { executorId } = parked.request
    if (this.#newest.get(executorId) === parked) this.#newest.delete(executorId)
  }

  async #serve(parked: Parked, hand: Reservation[]): Promise<void> {
    const prepared = await Promise.all(hand.map(each => this.#prepare(each)))
    let bytes = 0
    const claiming = hand.map((reservation, i) => {
      const work = prepared[i]
      if (work?.kind !== 'claim') return work && this.#settle(reservation, work)
      if (bytes > 0 && bytes + work.bytes > MAX_ANSWER_BYTES) {
        this.#release(reservation)
        return undefined
      }
      bytes += work.bytes
      return this.#claim(reservation, parked.request, work)
    })
    const assignments = (await Promise.all(claiming)).filter(each => each !== undefined)
    const asking = this.#stillAsking(parked)
    if (assignments.length > 0) void this.#give(asking, assignments)
    else this.#park(asking)
    this.wake()
  }

  #stillAsking(parked: Parked): Parked {
    let asking = parked
    for (; asking.next; asking = asking.next) this.#sendAway(asking)
    return asking
  }

  async #prepare(reservation: Reservation): Promise<Prepared | undefined> {
    try {
      const { commands, clock } = this.#options
      return await prepare(commands, reservation, clock.now())
    } catch (err) {
      this.#failed(reservation, err)
      return undefined
    }
  }

  /** What needs no executor now. Once it is written the log says what became of the place. */
  async #settle(reservation: Reservation, work: Exclude<Prepared, Job>): Promise<undefined> {
    if (work.kind === 'hold') {
      this.#options.runs.hold(reservation, work.hold, work.leftOut)
      this.#options.onRelease(reservation.run)
      return
    }
    try {
      if (work.kind !== 'void') this.#options.runs.settles(reservation)
      await this.#options.claims.settle(reservation, work)
      this.#releaseLater(reservation)
    } catch (err) {
      this.#failed(reservation, err)
    }
  }

  async #claim(reservation: Reservation, request: PullRequest, work: Job): Promise<Assignment | undefined> {
    try {
      const assignment = await this.#options.claims.claim(reservation, request, work)
      // Taken or ended meanwhile: the log will say how; until then it is not ours to give.
      if (!assignment) this.#releaseLater(reservation)
      return assignment
    } catch (err) {
      this.#failed(reservation, err)
      return undefined
    }
  }

  #failed(reservation: Reservation, err: unknown): void {
    const { run, n } = reservation
    this.#options.log.warn({ err, runId: run.runId, n }, 'could not be claimed, trying again')
    this.#releaseLater(reservation)
  }

  #releaseLater(reservation: Reservation): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#release(reservation)
      this.wake()
    }, RELEASE_AFTER_FAILURE_MS)
    this.#timers.add(timer)
  }

  #release(reservation: Reservation): void {
    this.#options.runs.release(reservation)
    this.#options.onRelease(reservation.run)
  }
}
