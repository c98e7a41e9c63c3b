import { type Bus, type BusMessage, publishJson, type Subscription } from '../infra/bus.ts'
import type { Clock } from '../infra/clock.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { Ids } from '../infra/ids.ts'
import type { Log } from '../infra/log.ts'
import {
  type EnrolRequest,
  type Heartbeat,
  type Order,
  type OutputBatch,
  type PullRequest,
  type ReportMessage,
  subjects,
} from '../schemas/bus.ts'
import type { LogPosition, Recorded } from '../schemas/events.ts'
import { type Commands, createCommands } from './commands.ts'
import { Claims } from './dispatcher/claims.ts'
import { Dispatcher } from './dispatcher/dispatcher.ts'
import { enrol, type FirstExecutor, inviteFirst } from './enrolment.ts'
import { Fleet, type Presence } from './fleet.ts'
import { followLog } from './follower.ts'
import { guarded } from './guard.ts'
import { sayHello } from './hello.ts'
import { Output } from './ingest/output.ts'
import type { StoredChunk } from './ingest/output-store.ts'
import { Reports } from './ingest/reports.ts'
import { Watchdog } from './leases/watchdog.ts'
import type { ActiveRun, Labels } from './runs/active-run.ts'
import { ActiveRuns } from './runs/active-runs.ts'
import { RunCoordinator } from './runs/coordinator.ts'
import { serve } from './serve.ts'

export type EngineOptions = {
  store: EventStore
  bus: Bus
  clock: Clock
  ids: Ids
  log: Log
  leaseSeconds: number
  /** Where to begin to read the log: at or before the oldest run that has not ended. */
  after: LogPosition | undefined
  storeOutput: (chunks: OutputBatch['chunks']) => Promise<StoredChunk[]>
  /** Those that were heard of lately, by whatever process. */
  recentExecutors?(): Promise<string[]>
  /** Executors that may come in although nobody asked for a token. */
  firstExecutors?: readonly FirstExecutor[]
}

/** The reactors at work: they follow the log, and serve executors from the moment they have caught up with it. */
export class Engine {
  readonly #options: EngineOptions
  readonly #stop = new AbortController()
  readonly #runs: ActiveRuns
  readonly #commands: Commands
  readonly #coordinator: RunCoordinator
  readonly #dispatcher: Dispatcher
  readonly #fleet: Fleet
  readonly #watchdog: Watchdog
  readonly #reports: Reports
  readonly #output: Output
  readonly #changed = new Set<ActiveRun>()
  /** A new one whenever the broker was away: what was answered then may have got lost. */
  #session: string
  #subscriptions: Subscription[] = []
  #unwatchBus = () => {}
  #live = false

  constructor(options: EngineOptions) {
    const { store, bus, clock, ids, log, leaseSeconds, after } = options
    this.#options = options
    this.#session = ids.next()
    const commands = createCommands({ store, clock, log })
    const runs = new ActiveRuns(after, commands.permits)
    commands.onRights(() => this.#rightsChanged())
    const claims = new Claims({ commands, runs, ids, log, leaseSeconds })
    this.#runs = runs
    this.#commands = commands
    this.#coordinator = new RunCoordinator({ commands, runs, clock, log, onWake: () => this.#dispatcher.wake() })
    const onRelease = (run: ActiveRun) => this.#coordinator.look(run)
    this.#dispatcher = new Dispatcher({ commands, runs, claims, clock, log, onRelease })
    this.#fleet = new Fleet({ commands, clock, log, newId: ids.next })
    const isRevoked = (executorId: string) => this.#fleet.isRevoked(executorId)
    this.#watchdog = new Watchdog({ commands, runs, clock, log, leaseSeconds, isRevoked })
    this.#reports = new Reports({
      ...{ commands, runs, log },
      onSign: claim => this.#watchdog.reported(claim),
      onGivenUp: claim => this.#watchdog.givenUp(claim),
    })
    this.#output = new Output(options.storeOutput, (subject, live) => quietly(() => publishJson(bus, subject, live)))
  }

  get live(): boolean {
    return this.#live
  }

  get activeRuns(): number {
    return this.#runs.size
  }

  get lowWater(): LogPosition | undefined {
    return this.#runs.lowWater
  }

  /** What was heard of executors since this was last asked. */
  takePresence(): Presence[] {
    return this.#fleet.takePresence()
  }

  /** Works until stopped. Rejects for an event this program cannot read, and then serves nobody any more. */
  async run(): Promise<void> {
    try {
      await this.#follow()
    } finally {
      await this.#leave()
    }
  }

  /** Sends waiting executors away, answers what is in hand, stops following. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#leave()
  }

  async #follow(): Promise<void> {
    const enrolling = { ...this.#options, commands: this.#commands }
    await inviteFirst(enrolling, this.#options.firstExecutors ?? [], this.#stop.signal)
    await followLog({
      store: this.#options.store,
      after: this.#options.after,
      signal: this.#stop.signal,
      onEvent: event => this.#take(event),
      onPosition: position => this.#passed(position),
      onCaughtUp: () => this.#goLive(),
    })
  }

  async #leave(): Promise<void> {
    this.#live = false
    this.#unwatchBus()
    this.#watchdog.stop()
    this.#coordinator.stop()
    const drained = this.#subscriptions.splice(0).map(subscription => subscription.drain())
    await Promise.all([this.#dispatcher.stop(), this.#commands.stop(), ...drained])
  }

  #take(event: Recorded): void {
    this.#commands.apply(event)
    const changed = this.#fleet.apply(event)
    if (changed !== undefined) this.#standingChanged(changed)
    const run = this.#runs.apply(event)
    if (!run || !this.#live) return
    this.#changed.add(run)
    const above = run.request.parent && this.#runs.get(run.request.parent.runId)
    if (above) this.#changed.add(above)
    if (run.status === 'ended') for (const other of this.#runs.waitingForApproval(run)) this.#changed.add(other)
    // Behind a run that waits for people, others may have nothing else to wait for.
    if (event.type === 'RunNeedsAttention') for (const other of this.#runs.heldUp()) this.#changed.add(other)
    this.#tell(run, event)
  }

  /** Runs that have not begun hang on the rights of those who asked for them. */
  #rightsChanged(): void {
    if (!this.#live) return
    for (const run of this.#runs.lackingRight()) this.#coordinator.look(run)
  }

  #standingChanged(executorId: string): void {
    this.#dispatcher.dismiss(executorId)
    if (!this.#live || !this.#fleet.isRevoked(executorId)) return
    for (const run of this.#runs.all()) {
      for (const [n, claim] of run.claims) if (claim.executorId === executorId) this.#tellOne(run, 'cancel', n)
    }
    this.#watchdog.tick()
  }

  /** Acted upon batch by batch: the events of one append, told one by one, look like states that never were. */
  #passed(position: LogPosition): void {
    this.#runs.passed(position)
    for (const run of this.#changed) this.#coordinator.look(run)
    this.#changed.clear()
    this.#dispatcher.wake()
  }

  #goLive(): void {
    const { bus, log } = this.#options
    this.#live = true
    log.info({ activeRuns: this.#runs.size }, 'caught up with the log')
    this.#watchdog.start()
    this.#coordinator.start()
    this.#unwatchBus = bus.onStatus(status => this.#heardOfBroker(status === 'connected'))
    const parts = {
      ...{ fleet: this.#fleet, commands: this.#commands, log },
      enrol: (request: EnrolRequest) => enrol({ ...this.#options, commands: this.#commands }, request),
      pull: (request: PullRequest, message: BusMessage, labels: Labels) => {
        this.#watchdog.asked(request)
        this.#dispatcher.pull(request, message, labels)
      },
      heartbeat: (beat: Heartbeat, session: string | undefined) =>
        this.#watchdog.heartbeat(beat, session === this.#session),
      isAsked: (beat: Heartbeat) => this.#dispatcher.isAsked(beat),
      session: () => this.#session,
      report: (message: ReportMessage) => this.#reports.receive(message),
      output: (batch: OutputBatch) => this.#output.receive(batch),
    }
    this.#subscriptions = serve(bus, guarded(parts))
    for (const run of this.#runs.all()) {
      if (run.status === 'cancelling') this.#tellAll(run, 'cancel')
      else if (run.paused) this.#tellAll(run, 'hand-back')
      this.#coordinator.look(run)
    }
    this.#hello()
  }

  #heardOfBroker(connected: boolean): void {
    this.#watchdog.deaf(!connected)
    if (!connected) return
    this.#session = this.#options.ids.next()
    this.#watchdog.beginSession()
    this.#hello()
  }

  #hello(): void {
    const holders = [...this.#runs.all()].flatMap(run => [...run.claims.values()].map(claim => claim.executorId))
    const { bus, recentExecutors = async () => [] } = this.#options
    void sayHello(bus, [...this.#fleet.heardOf(), ...holders], recentExecutors)
  }

  #tell(run: ActiveRun, { type, data }: Recorded): void {
    if (type === 'StepStarted') this.#watchdog.started(run.claims.get(data.n), data.epoch)
    if (type === 'RunCancellationRequested') this.#tellAll(run, 'cancel')
    if (type === 'RunPaused') this.#tellAll(run, 'hand-back')
    if (type === 'TargetRunCancellationRequested') this.#tellOne(run, 'cancel', data.n)
    if (type === 'StepCancellationRequested') this.#tellOne(run, 'cancel-step', data.n)
  }

  #tellAll(run: ActiveRun, kind: Order['kind']): void {
    for (const n of run.claims.keys()) this.#tellOne(run, kind, n)
  }

  /** At once and over again with every heartbeat: a message may get lost. */
  #tellOne(run: ActiveRun, kind: Order['kind'], n: number): void {
    const claim = run.claims.get(n)
    if (!claim) return
    const stepId = kind === 'cancel-step' ? run.unwantedSteps.get(n) : undefined
    const order: Order = { kind, runId: run.runId, n, epoch: claim.epoch, ...(stepId !== undefined && { stepId }) }
    quietly(() => publishJson(this.#options.bus, subjects.control(claim.executorId), order))
  }
}

/** What is only shown or repeated later anyway may get lost with the broker. */
function quietly(publish: () => void): void {
  try {
    publish()
  } catch {}
}
