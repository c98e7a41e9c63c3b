import { DomainError } from '../../command-api/domain/index.ts'
import type { Clock } from '../../infra/clock.ts'
import type { Log } from '../../infra/log.ts'
import type { Commands } from '../commands.ts'
import type { ActiveRun } from './active-run.ts'
import type { ActiveRuns } from './active-runs.ts'
import { deadlocked, givesWay } from './deadlocks.ts'
import { type Action, nextActions, nextLook } from './next-actions.ts'
import { toCommand } from './to-command.ts'

type Options = {
  commands: Commands
  runs: ActiveRuns
  clock: Clock
  log: Log
  /** Time has freed something. */
  onWake(): void
}

const RETRY_MS = 500
/** How often is looked for runs that wait for each other: it ends by itself in no other way. */
const DEADLOCK_MS = 2_000
const MIN_LOOK_MS = 5
/** Longer waits are looked at in between: timers of more than 24 days do not exist. */
const MAX_LOOK_MS = 3_600_000

/**
 * Starts, ends and cancels runs: brings each run to what its state asks for. The ids of its commands follow from what
 * they do, so that the same action taken twice, here or in another process, is written once.
 */
export class RunCoordinator {
  readonly #options: Options
  readonly #looks = new Map<ActiveRun, { at: string; timer: NodeJS.Timeout }>()
  readonly #busy = new Set<ActiveRun>()
  readonly #again = new Set<ActiveRun>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #deadlocks: NodeJS.Timeout | undefined
  #stopped = false

  constructor(options: Options) {
    this.#options = options
  }

  start(): void {
    this.#deadlocks = setInterval(() => this.#breakDeadlock(), DEADLOCK_MS)
  }

  /** The run may have changed. */
  look(run: ActiveRun): void {
    if (this.#stopped) return
    const now = this.#options.clock.now()
    run.wake(now)
    this.#options.runs.refresh(run)
    this.#lookAgain(run, now)
    if (this.#busy.has(run)) this.#again.add(run)
    else void this.#act(run, now)
  }

  stop(): void {
    this.#stopped = true
    clearInterval(this.#deadlocks)
    for (const timer of this.#timers) clearTimeout(timer)
    for (const { timer } of this.#looks.values()) clearTimeout(timer)
  }

  /** Waits, delays and time limits end without an event that would tell. */
  #lookAgain(run: ActiveRun, now: string): void {
    const at = nextLook(run)
    const planned = this.#looks.get(run)
    if (planned?.at === at) return
    if (planned) clearTimeout(planned.timer)
    this.#looks.delete(run)
    if (at === undefined) return
    const ms = Math.min(Math.max(Date.parse(at) - Date.parse(now), MIN_LOOK_MS), MAX_LOOK_MS)
    const timer = setTimeout(() => {
      this.#looks.delete(run)
      this.look(run)
      this.#options.onWake()
    }, ms)
    this.#looks.set(run, { at, timer })
  }

  async #act(run: ActiveRun, now: string): Promise<void> {
    const actions = [...nextActions(run, now), ...this.#overlapping(run)]
    if (actions.length === 0) return
    this.#busy.add(run)
    const done = await Promise.all(actions.map(action => this.#take(run, action)))
    this.#busy.delete(run)
    const changed = this.#again.delete(run)
    if (done.includes(false)) this.#later(run)
    else if (changed) this.look(run)
  }

  #breakDeadlock(): void {
    // Grants end by the clock, which nobody tells.
    for (const run of this.#options.runs.lackingRight()) this.look(run)
    const run = givesWay(deadlocked(this.#options.runs))
    if (run) void this.#take(run, { type: 'give-way' })
  }

  /** False when it may help to try again without any change of the run. */
  async #take(run: ActiveRun, action: Action): Promise<boolean> {
    try {
      await this.#send(run, action)
      return true
    } catch (err) {
      if (err instanceof DomainError) {
        // The log is ahead of what we know of it; what it tells next leads to the next action.
        this.#options.log.debug({ runId: run.runId, action: action.type, code: err.code }, 'not taken')
        return true
      }
      this.#options.log.warn({ err, runId: run.runId, action: action.type }, 'could not be written, trying again')
      return false
    }
  }

  /** What the job says about a run that comes while an older one goes on. */
  #overlapping(run: ActiveRun): Action[] {
    if (!run.waitsForOlder) return []
    if (run.request.overlap === 'skip') return [{ type: 'reject-run' }]
    if (run.request.overlap !== 'cancel-previous') return []
    const going = this.#options.runs.olderOf(run).filter(older => older.status !== 'cancelling')
    return going.map(older => ({ type: 'cancel-older', runId: older.runId }))
  }

  async #send(run: ActiveRun, action: Action): Promise<void> {
    const message = await toCommand(run, action, this.#options.commands)
    if (!message) return this.#unneeded(run)
    const { correlationId, requestEventId: causationId } = run.request
    const by = { actor: 'run-coordinator', correlationId, causationId, commandId: message.commandId }
    if (message.name === 'run') await this.#options.commands.send('run', message.command, by)
    else await this.#options.commands.send('targetRun', message.command, by)
  }

  /** What was to be found out stands in nobody's way. */
  #unneeded(run: ActiveRun): void {
    this.#again.add(run)
    this.#options.onWake()
  }

  #later(run: ActiveRun): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.look(run)
    }, RETRY_MS)
    this.#timers.add(timer)
  }
}
