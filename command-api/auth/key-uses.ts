import type { Clock } from '../../infra/clock.ts'
import type { Ids } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import type { Dispatcher } from '../dispatch.ts'

const TELL_EVERY_MS = 3_600_000
const MOST_KNOWN = 10_000

/** Tells the log that an API key was used: at most once an hour each, and beside the request that used it. */
export function noteKeyUses({
  dispatcher,
  clock,
  ids,
  log,
}: {
  dispatcher: Dispatcher
  clock: Clock
  ids: Ids
  log: Log
}): { note(keyId: string): void; flush(): Promise<void> } {
  const told = new Map<string, number>()
  const writing = new Set<Promise<void>>()
  const tell = async (keyId: string) => {
    const commandId = ids.next()
    const at = clock.now()
    const meta = {
      ...{ commandId, $correlationId: commandId, $causationId: commandId, at },
      actor: { kind: 'api-key' as const, id: keyId },
      origin: { channel: 'api' as const },
    }
    const command = { type: 'note-api-key-use' as const, data: { keyId, at } }
    await dispatcher.dispatch('apiKey', command, { meta, facts: {} })
  }
  return {
    note(keyId) {
      const now = clock.monotonic()
      if (now - (told.get(keyId) ?? Number.NEGATIVE_INFINITY) < TELL_EVERY_MS) return
      if (told.size >= MOST_KNOWN) told.clear()
      told.set(keyId, now)
      const written = tell(keyId)
        .catch(err => log.warn({ err, keyId }, 'the use of an API key could not be recorded'))
        .finally(() => writing.delete(written))
      writing.add(written)
    },
    async flush() {
      await Promise.all(writing)
    },
  }
}
