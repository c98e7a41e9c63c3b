import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { createApiKey } from '../infra/api-keys.ts'
import { systemClock } from '../infra/clock.ts'
import { appendLoad, sizesOf } from '../infra/embedded/event-store/load.ts'
import { startBroker } from '../test/support/broker.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { startRole } from '../test/support/role.ts'
import { type Emit, measurement } from './measurement.ts'
import { type Ending, ending } from './support/system.ts'

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
    await measure(emit, sender(t, endpoints.url ?? '', key), store.connectionString)
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
  for (let round = 0; round < RUNS; round++) latencies.push(await openLoop(send))
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

/** Sends on time whatever became of the ones before; a latency counts from when a command was due, in ms. */
async function openLoop(send: Send): Promise<number[]> {
  const began = performance.now()
  const latencies: Array<Promise<number>> = []
  for (let number = 0; number < PER_SECOND * SECONDS; number++) {
    const due = began + (number * 1000) / PER_SECOND
    const early = due - performance.now()
    if (early > 0) await after(early)
    latencies.push(send(number).then(() => performance.now() - due))
  }
  return await Promise.all(latencies)
}

const quantile = (values: number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.ceil(values.length * q) - 1] ?? Number.NaN

/** One request after another on each socket, by hand: the client's own work is on the same cores as what is measured. */
function sender(t: Ending, base: string, key: string): Send {
  const { hostname, port } = new URL(base)
  const idle: Socket[] = []
  t.teardown(() => {
    for (const socket of idle) socket.destroy()
  })
  const head =
    `POST /v1/commands/create-target HTTP/1.1\r\nhost: ${hostname}:${port}\r\nauthorization: Bearer ${key}\r\n` +
    'content-type: application/json\r\ncontent-length: '
  return async number => {
    const body = JSON.stringify({ name: `web-${number}`, address: '192.0.2.1', tags: { env: 'prod', role: 'web' } })
    const socket = idle.pop() ?? connect({ host: hostname, port: Number(port), noDelay: true })
    const status = await exchange(socket, `${head}${body.length}\r\n\r\n${body}`)
    idle.push(socket)
    if (status !== 201) throw new Error(`answered ${status}`)
  }
}

/** Sends a request and reads its answer to the end; answers its status. */
function exchange(socket: Socket, request: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = ''
    const onData = (bytes: Buffer) => {
      text += bytes.toString('latin1')
      const bodyAt = text.indexOf('\r\n\r\n') + 4
      const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text)?.[1]
      if (bodyAt < 4 || length === undefined || text.length < bodyAt + Number(length)) return
      socket.off('data', onData).off('error', reject)
      resolve(Number(text.slice(9, 12)))
    }
    socket.on('data', onData).on('error', reject)
    socket.write(request)
  })
}
