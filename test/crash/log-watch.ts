import { connectEventStore } from '../../infra/event-store/client.ts'
import type { Recorded } from '../../schemas/events.ts'
import { categories, RUN_ENDED } from './judge.ts'

export type Claim = { executorId: string; address: string; runId: string }

/** Hears every event as soon as it is durable, on a connection of its own that nobody holds up. */
export class LogWatch {
  readonly #stop = new AbortController()
  readonly #listeners = new Set<(event: Recorded) => void>()
  readonly #claims = new Map<string, Claim>()
  readonly #open = new Set<string>()
  readonly #following: Promise<void>

  constructor(url: string) {
    this.#following = this.#follow(url)
  }

  /** Runs that have not ended. */
  get open(): ReadonlySet<string> {
    return this.#open
  }

  /** Who works, or worked last, on what an event is about. */
  claimOf({ data }: Recorded): Claim | undefined {
    return 'n' in data ? this.#claims.get(`${data.runId}.${data.n}`) : undefined
  }

  /** Who works on that target for the run whose id begins so. */
  claimAt(runId: string, address: string): Claim | undefined {
    return [...this.#claims.values()].find(claim => claim.runId.startsWith(runId) && claim.address === address)
  }

  /** The next event that fits; undefined when the signal aborts before. */
  next(fits: (event: Recorded) => boolean, signal: AbortSignal): Promise<Recorded | undefined> {
    return new Promise(resolve => {
      const done = (event?: Recorded) => {
        this.#listeners.delete(hear)
        resolve(event)
      }
      const hear = (event: Recorded) => {
        if (fits(event)) done(event)
      }
      this.#listeners.add(hear)
      signal.addEventListener('abort', () => done(), { once: true })
    })
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#following
  }

  async #follow(url: string): Promise<void> {
    const store = connectEventStore(url)
    const { signal } = this.#stop
    try {
      for await (const { events } of store.follow({ categories, after: undefined, signal })) {
        for (const event of events) this.#take(event)
      }
    } finally {
      await store.close()
    }
  }

  #take(event: Recorded): void {
    if (event.type === 'RunRequested') this.#open.add(event.data.runId)
    if (RUN_ENDED.test(event.type) && 'runId' in event.data) this.#open.delete(event.data.runId)
    if (event.type === 'TargetRunClaimed') {
      const { runId, n, executorId, target } = event.data
      this.#claims.set(`${runId}.${n}`, { runId, executorId, address: target.address })
    }
    for (const hear of this.#listeners) hear(event)
  }
}
