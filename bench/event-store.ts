import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { appendLoad, readAllLoad } from '../infra/embedded/event-store/load.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { type Emit, measurement } from './measurement.ts'

const RUNS = 3
const WARM_UP = 4_000
const APPENDS = 20_000
const PAYLOAD_BYTES = 300
const SYNC_SECONDS = 1

/**
 * The embedded node as its own process, loaded through the real client: durable appends a second of 64 writers, beside
 * the rate at which this disk takes an append of one such event with fdatasync, and events a second read from $all.
 * Once as `up` runs it, with credentials and so with TLS, and once in plain text.
 */
export async function run(emit: Emit): Promise<void> {
  await measureNode(emit, '', { username: 'bench', password: 'bench' })
  await measureNode(emit, '.plain', undefined)
}

type Credentials = { username: string; password: string }

async function measureNode(emit: Emit, suffix: string, credentials: Credentials | undefined): Promise<void> {
  const teardowns: (() => unknown)[] = []
  try {
    const store = await startEventStore({ teardown: done => teardowns.push(done) }, credentials ? { credentials } : {})
    const load = (appends: number) => ({ writers: 64, appends, payloadBytes: PAYLOAD_BYTES })
    await appendLoad(store.connectionString, load(WARM_UP))
    const appends: number[] = []
    const syncs: number[] = []
    for (let round = 0; round < RUNS; round++) {
      syncs.push(syncRate(join(store.dataDir, 'fdatasync')))
      appends.push(APPENDS / (await appendLoad(store.connectionString, load(APPENDS))))
    }
    const baseline = measurement('fdatasync', '1/s', syncs).value
    emit(measurement(`event-store.append.w64${suffix}`, '1/s', appends, baseline))
    const reads: number[] = []
    for (let round = 0; round < RUNS; round++) reads.push(await readAllLoad(store.connectionString))
    emit(measurement(`event-store.read-all${suffix}`, 'events/s', reads))
  } finally {
    for (const teardown of teardowns) await teardown()
  }
}

/** Appends of one event's size, each made durable by itself, that the disk takes in a second. */
function syncRate(path: string): number {
  const fd = openSync(path, 'w')
  const bytes = Buffer.alloc(PAYLOAD_BYTES + 200, 1)
  const until = performance.now() + SYNC_SECONDS * 1000
  let count = 0
  for (; performance.now() < until; count++) {
    writeSync(fd, bytes)
    fdatasyncSync(fd)
  }
  closeSync(fd)
  rmSync(path)
  return count / SYNC_SECONDS
}
