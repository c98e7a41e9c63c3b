import { ArtifactError, type ArtifactStore } from '../../infra/artifacts.ts'
import { type Bus, type BusMessage, type Subscription, subscribeJson } from '../../infra/bus.ts'
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

const QUEUE = 'artifacts'
/** Each is up to 700 kB: what waits beyond these is dropped and sent again. */
const AT_ONCE = 8
const WAITING = 32
const PURGE_EVERY_MS = 3_600_000

/** Stores the files that executors fetch and hands out those they write. Any number of processes may serve. */
export function serveArtifacts(bus: Bus, store: ArtifactStore): Subscription[] {
  const options = { queue: QUEUE, concurrency: AT_ONCE, maxWaiting: WAITING }
  return [
    subscribeJson(bus, subjects.artifactPutAll, artifactPut, (put, message) => take(store, put, message), options),
    subscribeJson(bus, subjects.artifactGetAll, artifactGet, (get, message) => give(store, get, message), options),
  ]
}

/** Every hour; `clearInterval` ends it. Several processes may: what one has removed the other does not find. */
export function keepPurged(store: ArtifactStore, days: number, log: Log, everyMs = PURGE_EVERY_MS): NodeJS.Timeout {
  const purge = () =>
    store.purge(days).then(
      removed => removed > 0 && log.info({ removed }, 'removed artifacts that were not used for long'),
      err => log.warn({ err }, 'artifacts could not be looked through'),
    )
  return setInterval(() => void purge(), everyMs)
}

async function take(store: ArtifactStore, put: ArtifactPut, message: BusMessage): Promise<ArtifactPutReply> {
  const forbidden = checkSender(put.executorId, message)
  if (forbidden) return { error: 'forbidden', detail: forbidden }
  const upload = { uploadId: put.uploadId, owner: put.executorId }
  try {
    if (put.kind === 'chunk') await store.addChunk(upload, put.index, Buffer.from(put.data, 'base64'))
    else await store.finish(upload, put)
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
