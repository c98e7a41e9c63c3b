import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from './client.ts'
import { someJob } from './jobs.ts'
import type { Random } from './random.ts'

export type LoadOptions = {
  client: Client
  effectsFile: string
  /** Targets that runs act on. */
  targetIds: readonly string[]
  random: Random
  signal: AbortSignal
  /** Runs that have not ended. */
  openRuns(): number
}
/** `token` is in every line its steps write. */
export type StartedRun = { runId: string; token: string }

const CLIENTS = 4
/** No more than this many runs at a time: what is piled up must be worked off afterwards. */
const MOST_OPEN = 10

/** Programs that send commands and trigger runs until the signal aborts; adds the runs they ask for to `runs`. */
export async function load(options: LoadOptions, runs: StartedRun[]): Promise<void> {
  const fork = () => ({ ...options, random: options.random.fork() })
  const clients = Array.from({ length: CLIENTS }, () => tidyUp(fork()))
  await Promise.all([...clients, triggerRuns(fork(), runs)])
}

/** Keeps registering, renaming, tagging and retiring targets of its own; some of it is refused, as in life. */
async function tidyUp({ client, random, signal }: LoadOptions): Promise<void> {
  while (!signal.aborted) {
    const targetId = randomUUID()
    const described = { targetId, name: `machine-${targetId.slice(0, 8)}`, address: '192.0.2.1' }
    await client.send('create-target', described)
    const moves: Array<[string, object]> = [
      ['rename-target', { targetId, name: `renamed-${targetId.slice(0, 8)}` }],
      ['tag-target', { targetId, key: 'env', value: random.pick(['prod', 'test']) }],
      ['change-target-address', { targetId, address: `192.0.2.${Math.floor(random.between(2, 250))}` }],
      ['create-target', { ...described, name: 'another' }],
      ['decommission-target', { targetId, reason: 'done with' }],
    ]
    for (const [command, body] of random.some(moves, 3)) {
      await delay(random.between(20, 300), undefined, { signal }).catch(() => {})
      if (!signal.aborted) await client.send(command, body)
    }
  }
}

/** Each run has a job of its own, so that what its steps write can be told from what others write. */
async function triggerRuns(options: LoadOptions, runs: StartedRun[]): Promise<void> {
  const { client, random, signal, effectsFile, targetIds, openRuns } = options
  const meddling: Promise<void>[] = []
  while (!signal.aborted) {
    await delay(random.between(100, 700), undefined, { signal }).catch(() => {})
    if (signal.aborted || openRuns() >= MOST_OPEN) continue
    const [jobId, runId] = [randomUUID(), randomUUID()]
    const token = runId.slice(0, 13)
    const job = { jobId, name: `job-${token}`, ...someJob(random, effectsFile, token) }
    const selection = { targetIds: random.some(targetIds, 1 + Math.floor(random.between(0, 4))) }
    if ((await client.send('define-job', job)).outcome !== 'acked') continue
    runs.push({ runId, token })
    await client.send('trigger-run', { runId, jobId, selection })
    if (random.next() < 0.3) meddling.push(meddle(client, random.fork(), runId))
  }
  await Promise.all(meddling)
}

/** Somebody changes their mind. Who pauses a run lets it go on again. */
async function meddle(client: Client, random: Random, runId: string): Promise<void> {
  const reason = 'on second thoughts'
  await delay(random.between(100, 2_500))
  const move = random.pick(['cancel-run', 'cancel-target-run', 'pause-run'])
  await client.send(move, { runId, reason, ...(move === 'cancel-target-run' && { n: 0 }) })
  if (move !== 'pause-run') return
  await delay(random.between(500, 3_000))
  await client.send('resume-run', { runId }, 1)
}
