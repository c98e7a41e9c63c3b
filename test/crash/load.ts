import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import type { ClientLedger } from './client-ledger.ts'
import { effectCommand } from './effects.ts'
import type { Random } from './random.ts'

export type LoadOptions = {
  /** The address of the API, which stays the same. */
  url: string
  apiKey: string
  ledger: ClientLedger
  effectsFile: string
  /** Targets that runs act on. */
  targetIds: readonly string[]
  random: Random
  signal: AbortSignal
}
/** `token` is in every line its steps write. */
export type StartedRun = { runId: string; token: string }

const answerSchema = z.object({ events: z.array(z.object({ id: z.string() })) })
const problemSchema = z.object({ type: z.string() })
const ANSWER_MS = 10_000
const CLIENTS = 4
/** Whoever got no answer asks again with the same key, mostly. */
const TRIES = 40

/** Programs that send commands and trigger runs until the signal aborts; answers the runs they asked for. */
export async function load(options: LoadOptions): Promise<StartedRun[]> {
  const clients = Array.from({ length: CLIENTS }, () => tidyUp({ ...options, random: options.random.fork() }))
  const runs: StartedRun[] = []
  await Promise.all([...clients, triggerRuns({ ...options, random: options.random.fork() }, runs)])
  return runs
}

/** Keeps registering, renaming, tagging and retiring targets of its own; some of it is refused, as in life. */
async function tidyUp(options: LoadOptions): Promise<void> {
  const { random, signal } = options
  while (!signal.aborted) {
    const targetId = randomUUID()
    const described = { targetId, name: `machine-${targetId.slice(0, 8)}`, address: '192.0.2.1' }
    await send(options, 'create-target', described)
    const moves: Array<[string, object]> = [
      ['rename-target', { targetId, name: `renamed-${targetId.slice(0, 8)}` }],
      ['tag-target', { targetId, key: 'env', value: random.pick(['prod', 'test']) }],
      ['change-target-address', { targetId, address: `192.0.2.${Math.floor(random.between(2, 250))}` }],
      ['create-target', { ...described, name: 'another' }],
      ['decommission-target', { targetId, reason: 'done with' }],
    ]
    for (const [command, body] of random.some(moves, 3)) {
      await delay(random.between(20, 300), undefined, { signal }).catch(() => {})
      if (!signal.aborted) await send(options, command, body)
    }
  }
}

/** Each run has a job of its own, so that what its steps write can be told from what others write. */
async function triggerRuns(options: LoadOptions, runs: StartedRun[]): Promise<void> {
  const { random, signal, effectsFile, targetIds } = options
  while (!signal.aborted) {
    const [jobId, runId] = [randomUUID(), randomUUID()]
    const token = runId.slice(0, 13)
    const step = (id: string, idempotent: boolean) => ({
      ...{ id, uses: 'ssh.command', idempotent },
      with: { command: effectCommand(effectsFile, token, id, random.between(0, 1.5)) },
    })
    const steps = [step('first', false), step('again', true), step('last', false)]
    const selection = { targetIds: random.some(targetIds, 1 + Math.floor(random.between(0, 4))) }
    if ((await send(options, 'define-job', { jobId, name: `job-${token}`, steps })) === 'acked') {
      runs.push({ runId, token })
      await send(options, 'trigger-run', { runId, jobId, selection })
    }
    await delay(random.between(200, 1_200), undefined, { signal }).catch(() => {})
  }
}

async function send(options: LoadOptions, command: string, body: object): Promise<'acked' | 'rejected' | 'unknown'> {
  const { ledger, random } = options
  const key = randomUUID()
  ledger.write({ outcome: 'sent', key, command })
  const patient = random.next() < 0.8
  for (let attempt = 1; attempt <= (patient ? TRIES : 1); attempt += 1) {
    const outcome = await once(options, command, body, key)
    if (outcome === 'acked' || outcome === 'rejected') return outcome
    await delay(random.between(100, 600))
  }
  return 'unknown'
}

async function once({ url, apiKey, ledger }: LoadOptions, command: string, body: object, key: string) {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', 'idempotency-key': key }
  try {
    const response = await fetch(`${url}/v1/commands/${command}`, {
      ...{ method: 'POST', headers, body: JSON.stringify(body) },
      signal: AbortSignal.timeout(ANSWER_MS),
    })
    const said: unknown = await response.json()
    if (response.ok) {
      const { events } = answerSchema.parse(said)
      ledger.write({ outcome: 'acked', key, events: events.map(event => event.id) })
      return 'acked'
    }
    const code = problemSchema.parse(said).type.replace('urn:opsconductor:problem:', '')
    // Below 500 it was decided; a request in flight is one of our own that got no answer.
    if (response.status >= 500 || code === 'request-in-flight') return 'unknown'
    ledger.write({ outcome: 'rejected', key, code })
    return 'rejected'
  } catch {
    return 'unknown'
  }
}
