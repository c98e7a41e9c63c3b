import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApiKey } from '../infra/api-keys.ts'
import { systemClock } from '../infra/clock.ts'
import { appendLoad, sizesOf } from '../infra/embedded/event-store/load.ts'
import { startBroker } from '../test/support/broker.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { startRole } from '../test/support/role.ts'
import { type Emit, measurement } from './measurement.ts'
import { commandSender, openLoop, quantile } from './support/open-loop.ts'
import { ending } from './support/system.ts'

const RUNS = 3
const PER_SECOND = 200
const SECONDS = 10
const AT_ONCE = 64
const COMMANDS = 10_000

type Send = (number: number) => Promise<void>

/**
 * The command API as its own process on an embedded node, over TLS as `up` runs it; every command creates a target and
 * is answered once its event is durable. First 200 a second, whether or not earlier ones are answered; then as many as
 * 64 connections get through, beside 64 writers of the bare client on the same node, whose events are as large and begin a
 * stream each, as a new target does.
 */
export async function run(emit: Emit): Promise<void> {
  const t = ending()
  try {
    const store = await startEventStore(t, { credentials: { username: 'bench', password: 'bench' } })
    const broker = await startBroker(t)
    const dir = mkdtempSync(join(tmpdir(), 'opsc-bench-'))
    t.teardown(() => rmSync(dir, { recursive: true, force: true }))
    const keys = join(dir, 'api-keys.json')
    const key = createApiKey(keys, 'bench', { now: systemClock.now() })
    const { endpoints } = await startRole(t, 'command-api', {
      OPSCONDUCTOR_DATA_DIR: join(dir, 'data'),
      OPSCONDUCTOR_PORT: '0',
      OPSCONDUCTOR_LOG_LEVEL: 'warn',
      OPSCONDUCTOR_RATE_LIMIT: '0',
      OPSCONDUCTOR_API_KEYS_FILE: keys,
      OPSCONDUCTOR_EVENTSTORE_URL: store.connectionString,
      OPSCONDUCTOR_NATS_URL: broker.url,
      // Only for files, which nobody sends here.
      OPSCONDUCTOR_POSTGRES_URL: 'postgres://nobody@127.0.0.1:1/nothing',
    })
    const send = commandSender(t, endpoints.url ?? '', key)
    const create: Send = number =>
      send('create-target', { name: `web-${number}`, address: '192.0.2.1', tags: { env: 'prod', role: 'web' } })
    await measure(emit, create, store.connectionString)
  } finally {
    await t.end()
  }
}

async function measure(emit: Emit, send: Send, connectionString: string): Promise<void> {
  await closedLoop(send, COMMANDS / 4)
  const { data, metadata } = await sizesOf(connectionString, 'TargetRegistered')
  const same = { writers: AT_ONCE, appends: COMMANDS, payloadBytes: data, metadataBytes: metadata, newStreams: true }
  const bare: number[] = []
  const rates: number[] = []
  for (let round = 0; round < RUNS; round++) {
    bare.push(COMMANDS / (await appendLoad(connectionString, same)))
    rates.push(COMMANDS / (await closedLoop(send, COMMANDS)))
  }
  const latencies: number[][] = []
  for (let round = 0; round < RUNS; round++) latencies.push(await openLoop(PER_SECOND, SECONDS, send))
  emit(
    measurement(
      'commands.p50.200',
      'ms',
      latencies.map(of => quantile(of, 0.5)),
    ),
  )
  emit(
    measurement(
      'commands.p99.200',
      'ms',
      latencies.map(of => quantile(of, 0.99)),
    ),
  )
  emit(measurement('commands.max', '1/s', rates, measurement('bare client', '1/s', bare).value))
}

/** So many senders, each sending the next once its last is answered. Answers the seconds it took. */
async function closedLoop(send: Send, commands: number): Promise<number> {
  let left = commands
  const began = performance.now()
  const sender = async () => {
    while (left > 0) await send(left--)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, sender))
  return (performance.now() - began) / 1000
}
