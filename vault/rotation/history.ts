import type { Clock } from '../../infra/clock.ts'
import { type EventStore, type Revision, WrongRevision } from '../../infra/event-store/port.ts'
import { derivedId, eventId } from '../../infra/ids.ts'
import { streams } from '../../schemas/events.ts'
import type { KekEvent } from '../../schemas/kek.ts'

type DataOf<T extends KekEvent['type']> = Extract<KekEvent, { type: T }>['data']

/** Records what becomes of key-encryption keys; the same fact again is the same event, recorded once. */
export type KekHistory = {
  activated(data: DataOf<'KekActivated'>): Promise<void>
  rewrapped(data: DataOf<'CredentialKeyRewrapped'>): Promise<void>
  completed(data: DataOf<'KekRotationCompleted'>): Promise<void>
  requested(data: DataOf<'KekRotationRequested'>): Promise<void>
  destroyed(data: DataOf<'KekDestroyed'>): Promise<void>
}

const MAX_TRIES = 5

type Known = { revision: Revision; ids: Set<string> }

export function kekHistory(store: Pick<EventStore, 'read' | 'append'>, clock: Clock): KekHistory {
  const known = new Map<string, Known>()
  const look = async (stream: string): Promise<Known> => {
    const { events, revision } = await store.read(stream)
    const found = { revision, ids: new Set(events.map(({ id }) => id)) }
    known.set(stream, found)
    return found
  }
  const record = async (event: KekEvent, ...same: (string | number)[]): Promise<void> => {
    const stream = streams.kek(event.data.kekId)
    const commandId = derivedId('kek', event.type, event.data.kekId, ...same)
    const id = eventId(commandId, 0)
    const metadata = {
      ...{ commandId, $correlationId: commandId, $causationId: commandId, at: clock.now() },
      actor: { kind: 'service' as const, id: 'vault' },
      origin: { channel: 'system' as const },
    }
    for (let tries = 1; ; tries += 1) {
      // What a process before this one recorded counts as well.
      const { revision, ids } = known.get(stream) ?? (await look(stream))
      if (ids.has(id)) return
      try {
        const appended = await store.append(stream, [{ ...event, id, metadata }], revision)
        known.set(stream, { revision: appended.revision, ids: ids.add(id) })
        return
      } catch (err) {
        known.delete(stream)
        if (!(err instanceof WrongRevision) || tries === MAX_TRIES) throw err
      }
    }
  }
  return {
    activated: data => record({ type: 'KekActivated', data }),
    // Which keys and under what: after a kill between event and transaction the same batch comes again.
    rewrapped: data => record({ type: 'CredentialKeyRewrapped', data }, data.from, data.holder, ...data.keys),
    completed: data => record({ type: 'KekRotationCompleted', data }),
    requested: data => record({ type: 'KekRotationRequested', data }),
    destroyed: data => record({ type: 'KekDestroyed', data }, data.requestId),
  }
}
