import { pino } from 'pino'
import { type Ids, sha256Hex } from '../../infra/ids.ts'
import { Engine } from '../../reactors/engine.ts'
import { PROTOCOL } from '../../schemas/bus.ts'
import { type LogPosition, streams } from '../../schemas/events.ts'
import { Random } from '../crash/random.ts'
import { Effects } from './effects.ts'
import { Hearing } from './hearing.ts'
import { People } from './people.ts'
import { credentialId, type Scenario, scenario } from './scenario.ts'
import { SimBroker } from './sim-broker.ts'
import { SimExecutor } from './sim-executor.ts'
import { SimLog, type Told } from './sim-log.ts'
import { newProcess, type Process, Timeline } from './timeline.ts'

const silent = pino({ level: 'silent' })
export const LEASE_SECONDS = 6
/** Things go wrong for so long; then nothing does any more, and everything has to come to its end in time. */
export const ROUGH_MS = 25_000
const MENDED_MS = 240_000
const TIDY_MS = 1_000
/** After the end: whatever is still under way must change nothing. */
const AFTERWARDS_MS = 4_000
const SAVE_MS = 1_000
const SOON_MS = 15

const standing: ReadonlySet<string> = new Set(['ExecutorEnrolled', 'ExecutorRevoked'] as const)
/** What hangs on them is in the heads of the reactors only. */
const grave: ReadonlySet<string> = new Set([
  ...(['TargetRunClaimed', 'TargetRunNeedsAttention', 'StepResolved', 'StepOutcomeUnknown'] as const),
  ...(['TargetRunHandedBack', 'StepRetryScheduled', 'SubRunTriggered', 'RunStopped'] as const),
])
/** What is to be written next follows from these alone: nothing else comes that would lead to it once more. */
const closing: ReadonlySet<string> = new Set([
  ...(['TargetRunSucceeded', 'TargetRunFailed', 'TargetRunCancelled', 'RunCancellationRequested'] as const),
  ...(['ApprovalQuorumReached', 'ApprovalExpired', 'StepWaitEnded', 'RunSucceeded', 'RunFailed'] as const),
])

type Acting = { process: Process; engine: Engine }

/** One world made from a seed: the real reactors and rules on a simulated log, broker, clock and executors. */
export class World {
  readonly seed: number
  readonly scenario: Scenario
  readonly time: Timeline
  readonly log: SimLog
  readonly effects = new Effects()
  readonly hearing: Hearing
  readonly people: People
  /** What was seen to be wrong as it happened. */
  readonly wrongs: string[] = []
  readonly #random: Random
  readonly #ids: Ids
  readonly #broker: SimBroker
  readonly #executors: SimExecutor[]
  readonly #acting = new Set<Acting>()
  #checkpoint: LogPosition | undefined
  #started = 0
  #rough = true

  constructor(seed: number) {
    const random = new Random(seed)
    this.seed = seed
    this.#random = random
    this.#ids = idsFrom(random.fork())
    this.scenario = scenario(random.fork(), seed)
    const jitter = random.fork()
    this.time = new Timeline(() => jitter.next())
    this.log = new SimLog(this.time, random.fork(), seed % 16 === 0)
    this.hearing = new Hearing(this.time)
    this.#broker = new SimBroker(this.time, random.fork(), (process, subject, data) =>
      this.hearing.arrived(process, subject, data),
    )
    this.#broker.losesControl = this.scenario.losesControl
    const parts = {
      ...{ time: this.time, ids: this.#ids, effects: this.effects, leaseSeconds: LEASE_SECONDS },
      connect: (process: Process) => this.#broker.connect(process),
      rough: () => this.#rough,
    }
    this.#executors = this.scenario.executors.map(
      ({ id, pool }) => new SimExecutor(id, pool, { ...parts, random: random.fork() }),
    )
    const process = newProcess('people')
    const store = this.log.connect(process)
    this.people = new People({ time: this.time, random: random.fork(), ids: this.#ids, log: this.log, store, process })
    this.#prepare(process)
  }

  /** Everything from the first trigger to the end. */
  async live(): Promise<void> {
    for (let passed = 0; passed < ROUGH_MS && !this.finished; passed += TIDY_MS) await this.time.run(TIDY_MS)
    this.#mend()
    for (let passed = 0; passed < MENDED_MS; passed += TIDY_MS) {
      if (this.finished) await this.time.run(AFTERWARDS_MS)
      // What was asked for in the last moment may have come since.
      if (this.finished) return
      this.people.tidyUp()
      for (const executor of this.#executors) this.#letIn(executor)
      await this.time.run(TIDY_MS)
    }
  }

  get finished(): boolean {
    const { goingOn, runs } = this.log
    return goingOn.size === 0 && this.scenario.runs.every(({ runId }) => runs.has(runId))
  }

  /** Runs the acting reactors still keep in memory. */
  get remembered(): number {
    return Math.max(0, ...[...this.#acting].map(({ engine }) => engine.activeRuns))
  }

  /** The same for the same seed, and for nothing else. */
  get digest(): string {
    const lines = this.log.all.map(({ id, type, stream, landed }) => `${id} ${type} ${stream} ${landed}`)
    return sha256Hex(lines.join('\n'))
  }

  #prepare(people: Process): void {
    const { jobs, targets, runs } = this.scenario
    for (const version of jobs) {
      const { jobId } = version
      this.#seed(streams.job(jobId), { type: 'JobDefined', data: { jobId, name: 'deploy' } })
      this.#seed(streams.job(jobId), { type: 'JobVersionPublished', data: version })
    }
    for (const { targetId, name, rack } of targets) {
      const described = { platform: 'linux', tags: { rack }, hostKeyPolicy: 'first-use' } as const
      const data = { targetId, name, address: name, port: 22, ...described }
      this.#seed(streams.target(targetId), { type: 'TargetRegistered', data })
    }
    const credential = { credentialId, kind: 'password', version: 1 } as const
    const sealed = { sealId: credentialId, kekId: 'k', fingerprint: 'ab'.repeat(32), ciphertextDigest: 'ab'.repeat(32) }
    const stream = streams.credential(credentialId)
    const { version: _, ...created } = credential
    this.#seed(stream, { type: 'CredentialCreated', data: { ...created, name: 'deploy', username: 'deploy' } })
    this.#seed(stream, { type: 'CredentialVersionAdded', data: { ...credential, ...sealed } })
    for (const executor of this.#executors) this.#enrol(executor)
    for (const run of runs) this.time.schedule(run.atMs, people, () => void this.people.trigger(run))
    this.#startReactors()
    for (const executor of this.#executors)
      this.time.schedule(this.#random.next() * 500, undefined, () => executor.start())
    this.#planFaults()
  }

  #enrol({ id: executorId, pool, publicKey }: SimExecutor): void {
    const program = { version: 'simulated', protocol: PROTOCOL, tokenHash: 'ab'.repeat(32) }
    const invited = { executorId, pool, labels: {}, tokenHash: program.tokenHash }
    const expiresAt = '2040-01-01T00:00:00.000Z'
    this.#seed(streams.executor(executorId), { type: 'EnrolmentTokenIssued', data: { ...invited, expiresAt } })
    const data = { executorId, pool, labels: {}, publicKey, ...program }
    this.#seed(streams.executor(executorId), { type: 'ExecutorEnrolled', data })
  }

  #seed(stream: string, event: Parameters<SimLog['seed']>[1]): void {
    this.log.seed(stream, event, this.#ids.next())
  }

  #startReactors(): void {
    this.#started += 1
    const process = newProcess(`reactors#${this.#started}`, (this.#random.next() - 0.5) * 400)
    const clock = { now: () => this.time.wallClock(process), monotonic: () => this.time.now }
    const engine = new Engine({
      ...{ clock, ids: this.#ids, log: silent, leaseSeconds: LEASE_SECONDS, after: this.#checkpoint },
      store: this.log.connect(process, event => this.hearing.heard(process, event)),
      bus: this.#broker.connect(process),
      storeOutput: async () => [],
    })
    this.#acting.add({ process, engine })
    this.time.within(process, () => {
      void engine.run()
      const save = () => {
        if (engine.live && engine.lowWater) this.#checkpoint = engine.lowWater
        this.time.schedule(SAVE_MS, process, save)
      }
      save()
    })
  }

  #killReactors(acting: Acting): void {
    this.#acting.delete(acting)
    this.time.kill(acting.process)
    this.#broker.forget(acting.process)
  }

  /** Everything that will go wrong, and when; nothing does any more once all is mended, which may be before. */
  #planFaults(): void {
    for (let i = 0; i < this.scenario.faults; i += 1)
      this.time.schedule(this.#random.next() * ROUGH_MS, undefined, () => this.#rough && this.#goWrong())
    const meddling = Math.floor(this.#random.next() * 8)
    for (let i = 0; i < meddling; i += 1)
      this.time.schedule(this.#random.next() * ROUGH_MS, undefined, () => this.#rough && this.people.meddle())
    this.log.onLanded = event => {
      this.#noteTrusted(event)
      if (this.scenario.strikes) this.#strike(event)
    }
  }

  /** Nobody gives up a step whose executor has good reason to go on with it. */
  #noteTrusted({ type, data }: Told): void {
    if (type !== 'StepOutcomeUnknown' || data.why !== 'lease-expired') return
    const { type: over, data: lost } = this.log.stream(streams.targetRun(data.runId, data.n)).at(-2) ?? {}
    const executor = this.#executors.find(({ id }) => over === 'LeaseExpired' && id === lost?.executorId)
    // What a revoked one holds is over at once, whatever it trusts, and also when it has been let in again.
    const revoked = executor && this.log.stream(streams.executor(executor.id)).some(e => e.type === 'ExecutorRevoked')
    // Of two at work one may have found a lease over that is then renewed at the other: the log decides between them, and
    // whether something took effect that should not have is judged at the end.
    const unbrokenMs = this.scenario.twoDispatchers ? LEASE_SECONDS * 500 : 0
    if (executor?.trusts(data, unbrokenMs) && !revoked)
      this.wrongs.push(`${data.runId.slice(0, 8)}.${data.n}: the lease of ${executor.id} ended while it trusted it`)
  }

  #isRevoked({ id }: SimExecutor): boolean {
    return this.log.stream(streams.executor(id)).findLast(({ type }) => standing.has(type))?.type === 'ExecutorRevoked'
  }

  /** Right after something was written is when most can go wrong. */
  #strike({ type, metadata }: Told): void {
    const fate = this.#random.next()
    const lasts = this.#random.next() * 2.5 * LEASE_SECONDS * 1_000
    const within = (ms: number, act: () => void) =>
      void this.time.schedule(this.#random.next() * ms, undefined, () => this.#rough && act())
    const strikes = (act: () => void) => within(60, act)
    if (!this.#rough) return
    if (type === 'StepStarted') {
      const executor = this.#executors.find(({ id }) => id === metadata.actor.id)
      if (fate < 0.05) strikes(() => this.#pause(executor?.process, lasts))
      else if (fate < 0.1) strikes(() => this.#cut(executor?.process, lasts))
      else if (fate < 0.12) strikes(() => this.#roughen(lasts))
    } else if (closing.has(type) && fate < 0.04)
      // Before what follows is written, and for longer than anybody keeps trying to.
      within(SOON_MS, () => this.#stopLog(lasts / 3))
    else if (type === 'StepResolved' && fate < 0.3) strikes(() => this.#restartReactors(lasts / 20))
    else if (grave.has(type) && fate < 0.1) strikes(() => this.#restartReactors(lasts / 20))
    else if (grave.has(type) && fate < 0.15) strikes(() => this.#pauseReactors(lasts))
  }

  #goWrong(): void {
    const random = this.#random
    const lasts = random.next() * random.next() * 3 * LEASE_SECONDS * 1_000
    const later = (ms: number, act: () => void) => void this.time.schedule(ms, undefined, act)
    const executor = random.pick(this.#executors)
    const kind = random.next()
    if (kind < 0.2) this.#killExecutor(executor, lasts / 4)
    else if (kind < 0.4) this.#pause(executor.process, lasts)
    else if (kind < 0.5) this.#cut(executor.process, lasts)
    else if (kind < 0.6) {
      this.#broker.cutAll(true)
      later(lasts / 4, () => this.#broker.cutAll(false))
    } else if (kind < 0.7) this.#stopLog(lasts / 3)
    else if (kind < 0.8) this.#roughen(lasts)
    else if (kind < 0.9) this.#restartReactors(lasts / 6)
    else if (kind < 0.97) this.#pauseReactors(lasts)
    else this.people.revoke(executor.id)
  }

  /** Whoever was revoked comes back with a new key. */
  #letIn(executor: SimExecutor): void {
    if (!this.#isRevoked(executor)) return
    executor.renewKey()
    this.#enrol(executor)
  }

  #killExecutor(executor: SimExecutor, awayMs: number): void {
    executor.kill()
    if (this.#random.next() < 0.2) executor.loseSpool()
    this.time.schedule(awayMs, undefined, () => executor.start())
  }

  #pause(process: Process | undefined, forMs: number): void {
    if (!process) return
    this.time.pause(process)
    this.time.schedule(forMs, undefined, () => this.time.resume(process))
  }

  #cut(process: Process | undefined, forMs: number): void {
    if (!process) return
    this.#broker.cut(process, true)
    this.time.schedule(forMs, undefined, () => this.#broker.cut(process, false))
  }

  #stopLog(forMs: number): void {
    this.log.down = true
    this.time.schedule(forMs, undefined, () => (this.log.down = false))
  }

  /** Messages are lost, doubled and late, and so is what the log answers. */
  #roughen(forMs: number): void {
    const random = this.#random
    this.#broker.faults = { loses: random.next() * 0.4, doubles: random.next() * 0.3, slowMs: random.next() * 4_000 }
    this.log.faults = { refuses: random.next() * 0.2, loses: random.next() * 0.3, lateMs: random.next() * 3_000 }
    this.time.schedule(forMs, undefined, () => this.#smooth())
  }

  #smooth(): void {
    this.#broker.faults = { loses: 0, doubles: 0, slowMs: 0 }
    this.log.faults = { refuses: 0, loses: 0, lateMs: 0 }
  }

  #restartReactors(awayMs: number): void {
    for (const acting of [...this.#acting]) this.#killReactors(acting)
    this.time.schedule(awayMs, undefined, () => this.#acting.size === 0 && this.#startReactors())
  }

  /** They stand still; where two are allowed another process takes over meanwhile, and for a while both are at it. */
  #pauseReactors(forMs: number): void {
    for (const acting of this.#acting) this.#pause(acting.process, forMs)
    if (this.scenario.twoDispatchers && this.#acting.size === 1) this.#startReactors()
  }

  #mend(): void {
    this.#rough = false
    this.log.down = false
    this.#smooth()
    this.#broker.cutAll(false)
    const [last] = [...this.#acting].reverse()
    for (const acting of [...this.#acting]) if (acting !== last) this.#killReactors(acting)
    if (last) this.time.resume(last.process)
    else this.#startReactors()
    for (const executor of this.#executors) {
      this.#letIn(executor)
      if (executor.process) this.time.resume(executor.process)
      else executor.start()
    }
  }
}

/** UUIDs that follow from the seed. */
function idsFrom(random: Random): Ids {
  let count = 0
  const salt = Math.floor(random.next() * 2 ** 32).toString(16)
  return {
    next() {
      count += 1
      return `${count.toString(16).padStart(8, '0')}-0000-4000-8000-${salt.padStart(12, '0')}`
    },
  }
}
