import { createDispatcher } from '../../command-api/dispatch.ts'
import type { CommandOf } from '../../command-api/domain/index.ts'
import { ArtifactError, type ArtifactStore, type Whole } from '../../infra/artifacts.ts'
import { type Bus, type BusMessage, type Subscription, subscribeJson } from '../../infra/bus.ts'
import type { Clock } from '../../infra/clock.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import type { Ids } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import {
  type ArtifactGet,
  type ArtifactGetReply,
  type ArtifactPut,
  type ArtifactPutReply,
  artifactGet,
  artifactPut,
  subjects,
} from '../../schemas/bus.ts'
import type { Meta } from '../../schemas/kernel.ts'

const QUEUE = 'artifacts'
/** Each is up to 700 kB: what waits beyond these is dropped and sent again. */
const AT_ONCE = 8
const WAITING = 32
const PURGE_EVERY_MS = 3_600_000

/** Writes down what becomes of files. Both reject when the log cannot be written. */
export type ArtifactLedger = {
  stored(whole: Whole, executorId: string): Promise<void>
  removed(whole: Whole, unusedDays: number): Promise<void>
}

export function artifactLedger({ store, clock, ids }: { store: EventStore; clock: Clock; ids: Ids }): ArtifactLedger {
  const dispatcher = createDispatcher({ store, clock })
  const send = async (command: CommandOf<'artifact'>, by: Pick<Meta, 'actor' | 'origin'>) => {
    const commandId = ids.next()
    const meta = { commandId, $correlationId: commandId, $causationId: commandId, at: clock.now(), ...by }
    await dispatcher.dispatch('artifact', command, { meta, facts: undefined })
  }
  return {
    stored: (whole, executorId) =>
      send(
        { type: 'store-artifact', data: { sha256: whole.sha256, bytes: whole.bytes } },
        { actor: { kind: 'executor', id: executorId }, origin: { channel: 'executor' } },
      ),
    removed: (whole, unusedDays) =>
      send(
        { type: 'remove-artifact', data: { ...whole, unusedDays } },
        { actor: { kind: 'system', id: 'retention' }, origin: { channel: 'system' } },
      ),
  }
}

/** Stores the files that executors fetch and hands out those they write. Any number of processes may serve. */
export function serveArtifacts(bus: Bus, store: ArtifactStore, ledger: Pick<ArtifactLedger, 'stored'>): Subscription[] {
  const serving = { store, ledger }
  const options = { queue: QUEUE, concurrency: AT_ONCE, maxWaiting: WAITING }
  return [
    subscribeJson(bus, subjects.artifactPutAll, artifactPut, (put, message) => take(serving, put, message), options),
    subscribeJson(bus, subjects.artifactGetAll, artifactGet, (get, message) => give(store, get, message), options),
  ]
}

/** Every hour; `clearInterval` ends it. Several processes may: what one has removed the other does not find. */
export function keepPurged(
  { store, ledger, log }: { store: Pick<ArtifactStore, 'purge'>; ledger: Pick<ArtifactLedger, 'removed'>; log: Log },
  days: number,
  everyMs = PURGE_EVERY_MS,
): NodeJS.Timeout {
  const purge = () =>
    store
      .purge(days, whole => ledger.removed(whole, days))
      .then(
        removed => removed > 0 && log.info({ removed }, 'removed artifacts that were not used for long'),
        err => log.warn({ err }, 'artifacts could not be looked through'),
      )
  return setInterval(() => void purge(), everyMs)
}

type Serving = { store: ArtifactStore; ledger: Pick<ArtifactLedger, 'stored'> }

async function take({ store, ledger }: Serving, put: ArtifactPut, message: BusMessage): Promise<ArtifactPutReply> {
  const forbidden = checkSender(put.executorId, message)
  if (forbidden) return { error: 'forbidden', detail: forbidden }
  const upload = { uploadId: put.uploadId, owner: put.executorId }
  try {
    if (put.kind === 'chunk') await store.addChunk(upload, put.index, Buffer.from(put.data, 'base64'))
    else await store.finish(upload, put, whole => ledger.stored(whole, put.executorId))
    return { stored: true }
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error
    return { error: error.code, detail: error.message }
  }
}

async function give(store: ArtifactStore, get: ArtifactGet, message: BusMessage): Promise<ArtifactGetReply> {
  const forbidden = checkSender(get.executorId, message)
  if (forbidden) return { error: 'not-found', detail: forbidden }
  const bytes = get.index === 0 ? await store.bytesOf(get.sha256) : undefined
  if (bytes === 0) return { bytes: 0, data: '' }
  const chunk = await store.chunk(get.sha256, get.index)
  if (!chunk) return { error: 'not-found', detail: 'there is no such artifact, or no such part of it' }
  return { bytes: chunk.bytes, data: chunk.data.toString('base64') }
}

/** The broker lets an executor publish under its own name only; what it says about itself must agree. */
function checkSender(executorId: string, { subject }: BusMessage): string | undefined {
  return subject.slice(subject.lastIndexOf('.') + 1) === executorId ? undefined : 'another executor’s name'
}
