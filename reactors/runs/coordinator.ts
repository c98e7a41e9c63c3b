import { DomainError } from '../../command-api/domain/index.ts'
import { derivedId } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import type { Commands } from '../commands.ts'
import type { ActiveRun } from './active-run.ts'
import { type Action, nextActions } from './next-actions.ts'

const RETRY_MS = 500

/**
 * Starts, ends and cancels runs: brings each run to what its state asks for. The ids of its commands follow from what
 * they do, so that the same action taken twice, here or in another process, is written once.
 */
export class RunCoordinator {
  readonly #commands: Commands
  readonly #log: Log
  readonly #busy = new Set<ActiveRun>()
  readonly #again = new Set<ActiveRun>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #stopped = false

  constructor(commands: Commands, log: Log) {
    this.#commands = commands
    this.#log = log
  }

  /** The run may have changed. */
  look(run: ActiveRun): void {
    if (this.#stopped) return
    if (this.#busy.has(run)) this.#again.add(run)
    else void this.#act(run)
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
  }

  async #act(run: ActiveRun): Promise<void> {
    const actions = nextActions(run)
    if (actions.length === 0) return
    this.#busy.add(run)
    const done = await Promise.all(actions.map(action => this.#take(run, action)))
    this.#busy.delete(run)
    const changed = this.#again.delete(run)
    if (done.includes(false)) this.#later(run)
    else if (changed) this.look(run)
  }

  /** False when it may help to try again without any change of the run. */
  async #take(run: ActiveRun, action: Action): Promise<boolean> {
    try {
      await this.#send(run, action)
      return true
    } catch (err) {
      if (err instanceof DomainError) {
        // The log is ahead of what we know of it; what it tells next leads to the next action.
        this.#log.debug({ runId: run.runId, action: action.type, code: err.code }, 'not taken')
        return true
      }
      this.#log.warn({ err, runId: run.runId, action: action.type }, 'could not be written, trying again')
      return false
    }
  }

  async #send(run: ActiveRun, action: Action): Promise<void> {
    const { runId, correlationId, requestEventId: causationId } = run.request
    const by = { actor: 'run-coordinator', correlationId, causationId }
    switch (action.type) {
      case 'start-run': {
        const commandId = derivedId('start-run', runId)
        await this.#commands.send('run', { type: 'start-run', data: { runId } }, { ...by, commandId })
        return
      }
      case 'finish-run': {
        const commandId = derivedId('finish-run', runId)
        const data = { runId, counts: action.counts }
        await this.#commands.send('run', { type: 'finish-run', data }, { ...by, commandId })
        return
      }
      case 'cancel-target-run': {
        const { n } = action
        const commandId = derivedId('cancel-target-run', runId, n, run.lastEpoch(n))
        const data = { runId, n, targetId: run.targetIds[n] ?? '' }
        await this.#commands.send('targetRun', { type: 'cancel-target-run', data }, { ...by, commandId })
      }
    }
  }

  #later(run: ActiveRun): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.look(run)
    }, RETRY_MS)
    this.#timers.add(timer)
  }
}
