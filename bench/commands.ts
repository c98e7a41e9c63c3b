import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { createApiKey } from '../infra/api-keys.ts'
import { systemClock } from '../infra/clock.ts'
import { appendLoad } from '../infra/embedded/event-store/load.ts'
import { startBroker } from '../test/support/broker.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { startRole } from '../test/support/role.ts'
import { type Emit, measurement } from './measurement.ts'
import { ending } from './support/system.ts'

const RUNS = 3
const PER_SECOND = 200
const SECONDS = 10
const AT_ONCE = 64
const COMMANDS = 10_000
const PAYLOAD_BYTES = 300

type Send = (number: number) => Promise<void>

/**
 * The command API as its own process on an embedded node, over TLS as `up` runs it; every command creates a target and
 * is answered once its event is durable. First 200 a second, whether or not earlier ones are answered; then as many as
 * 64 connections get through, beside 64 writers of the bare client on the same node.
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
      OPSCONDUCTOR_API_KEYS_FILE: keys,
      OPSCONDUCTOR_EVENTSTORE_URL: store.connectionString,
      OPSCONDUCTOR_NATS_URL: broker.url,
    })
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
    t.teardown(() => agent.destroy())
    await measure(emit, sender(agent, endpoints.url ?? '', key), store.connectionString)
  } finally {
    await t.end()
  }
}

async function measure(emit: Emit, send: Send, connectionString: string): Promise<void> {
  await closedLoop(send, COMMANDS / 4)
  const bare: number[] = []
  const rates: number[] = []
  for (let round = 0; round < RUNS; round++) {
    bare.push(
      COMMANDS /
        (await appendLoad(connectionString, { writers: AT_ONCE, appends: COMMANDS, payloadBytes: PAYLOAD_BYTES })),
    )
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

function sender(agent: Agent, base: string, key: string): Send {
  const url = new URL('/v1/commands/create-target', base)
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  return number =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify({ name: `web-${number}`, address: '192.0.2.1', tags: { env: 'prod', role: 'web' } })
      const options = { agent, method: 'POST', headers: { ...headers, 'content-length': Buffer.byteLength(body) } }
      const sent = request(url, options, answer => {
        answer.resume().on('end', () => {
          if (answer.statusCode === 201) resolve()
          else reject(new Error(`answered ${answer.statusCode}`))
        })
      })
      sent.on('error', reject).end(body)
    })
}
