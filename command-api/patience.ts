import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../infra/clock.ts'
import { AppendOutcomeUnknown, EventStoreUnavailable } from '../infra/event-store/port.ts'

const PATIENCE_MS = 2_000
const FIRST_PAUSE_MS = 25

/**
 * Repeats work that is safe to repeat while the event store does not answer, for about two seconds: long enough for
 * its restart, short enough for a client that waits.
 * @throws EventStoreUnavailable when it is still silent after that.
 */
export async function withPatience<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  const deadline = clock.monotonic() + PATIENCE_MS
  for (let pause = FIRST_PAUSE_MS; ; pause *= 2) {
    try {
      return await work()
    } catch (error) {
      const silent = error instanceof AppendOutcomeUnknown || error instanceof EventStoreUnavailable
      if (!silent) throw error
      if (clock.monotonic() + pause > deadline) throw asUnavailable(error)
    }
    await delay(pause)
  }
}

function asUnavailable(error: Error): EventStoreUnavailable {
  if (error instanceof EventStoreUnavailable) return error
  return new EventStoreUnavailable(`whether it was appended is not known: ${error.message}`, { cause: error })
}
