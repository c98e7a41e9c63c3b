import type { EventStore } from '../infra/event-store/port.ts'
import type { LogPosition, Recorded } from '../schemas/events.ts'

const CATEGORIES = ['run', 'targetrun', 'job', 'target', 'credential', 'executor'] as const

export type Following = {
  store: Pick<EventStore, 'follow'>
  after: LogPosition | undefined
  signal: AbortSignal
  onEvent(event: Recorded): void
  /** Everything for us up to here has been told. */
  onPosition(position: LogPosition): void
  /** Everything there was when we began has been taken in. */
  onCaughtUp(): void
}

/** Feeds the events the reactors act on, in the order of the log. Throws for an event this program cannot read. */
export async function followLog({ store, after, signal, onEvent, onPosition, onCaughtUp }: Following): Promise<void> {
  let live = false
  for await (const batch of store.follow({ categories: CATEGORIES, after, signal })) {
    for (const event of batch.events) onEvent(event)
    if (batch.position) onPosition(batch.position)
    if (batch.caughtUp && !live) {
      live = true
      onCaughtUp()
    }
  }
}
