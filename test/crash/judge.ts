import pg from 'pg'
import { connectEventStore } from '../../infra/event-store/client.ts'
import { sha256Hex } from '../../infra/ids.ts'
import { categoryOf, type Recorded, type StreamCategory } from '../../schemas/events.ts'
import type { Known } from './client-ledger.ts'
import type { Effect } from './effects.ts'
import type { StartedRun } from './load.ts'

const CATEGORIES: StreamCategory[] = ['target', 'credential', 'release', 'job', 'run', 'targetrun', 'command']
const RUN_ENDED = /^Run(Succeeded|PartiallySucceeded|Failed|Cancelled|NeedsAttention)$/

/** The whole log, from its beginning to where it ends now. */
export async function readLog(url: string): Promise<Recorded[]> {
  const store = connectEventStore(url)
  const stop = new AbortController()
  const events: Recorded[] = []
  try {
    for await (const batch of store.follow({ categories: CATEGORIES, after: undefined, signal: stop.signal })) {
      events.push(...batch.events)
      if (batch.caughtUp) return events
    }
    return events
  } finally {
    stop.abort()
    await store.close()
  }
}

/** How each run that was asked for ended; undefined while it has not. */
export function endings(log: readonly Recorded[]): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>()
  for (const { type, data } of log) {
    if (type === 'RunRequested') found.set(data.runId, undefined)
    else if (RUN_ENDED.test(type) && 'runId' in data) found.set(data.runId, type)
  }
  return found
}

/** Every way in which the log breaks a promise it makes by itself. */
export function brokenLog(log: readonly Recorded[]): string[] {
  const broken: string[] = []
  const ids = new Set<string>()
  const revisions = new Map<string, bigint>()
  const ended = new Set<string>()
  let before = -1n
  for (const { id, stream, revision, position, type } of log) {
    if (ids.has(id)) broken.push(`event ${id} is there twice`)
    ids.add(id)
    const next = (revisions.get(stream) ?? -1n) + 1n
    if (revision !== next) broken.push(`${stream}: revision ${revision} where ${next} was due`)
    revisions.set(stream, revision)
    if (position.commit <= before) broken.push(`${stream}@${revision}: position ${position.commit} after ${before}`)
    before = position.commit
    if (categoryOf(stream) !== 'run') continue
    if (ended.has(stream)) broken.push(`${stream}: ${type} after its end`)
    if (RUN_ENDED.test(type)) ended.add(stream)
  }
  return broken
}

/** Commands that were acknowledged and are not there, rejected and are, or there twice. */
export function brokenCommands(
  log: readonly Recorded[],
  known: ReadonlyMap<string, Known>,
  commandIdOf: (key: string) => string,
): string[] {
  const copies = new Map<string, number>()
  const byCommand = new Map<string, string[]>()
  for (const { id, stream, metadata } of log) {
    copies.set(id, (copies.get(id) ?? 0) + 1)
    if (categoryOf(stream) === 'command') continue
    byCommand.set(metadata.commandId, [...(byCommand.get(metadata.commandId) ?? []), id])
  }
  const broken: string[] = []
  for (const [key, entry] of known) {
    const written = byCommand.get(commandIdOf(key)) ?? []
    if (entry.outcome === 'rejected' && written.length > 0) broken.push(`${entry.command} ${key}: rejected and written`)
    if (entry.outcome !== 'acked') continue
    const lost = entry.events.filter(id => copies.get(id) !== 1)
    if (lost.length > 0)
      broken.push(`${entry.command} ${key}: acknowledged, and ${lost.length} events are not there once`)
    const more = written.filter(id => !entry.events.includes(id))
    if (more.length > 0) broken.push(`${entry.command} ${key}: wrote ${more.length} events more than it answered`)
  }
  return broken
}

type Step = { runId: string; n: number; stepId: string }
const stepKey = ({ runId, n, stepId }: Step) => `${runId}.${n}.${stepId}`

/** Steps that ran more often than the log gave leave to, without leave, or are said to have succeeded and never ran. */
export function brokenSteps(
  log: readonly Recorded[],
  effects: readonly Effect[],
  runs: readonly StartedRun[],
): string[] {
  const runOf = new Map(runs.map(({ runId, token }) => [token, runId]))
  const place = new Map<string, number>()
  const starts = new Map<string, number>()
  const succeeded = new Set<string>()
  for (const event of log) {
    if (event.type === 'TargetRunClaimed') place.set(`${event.data.runId}@${event.data.target.address}`, event.data.n)
    if (event.type === 'StepStarted') starts.set(stepKey(event.data), (starts.get(stepKey(event.data)) ?? 0) + 1)
    if (event.type === 'StepSucceeded') succeeded.add(stepKey(event.data))
  }
  const ran = new Map<string, number>()
  for (const { token, step, address } of effects) {
    const runId = runOf.get(token) ?? token
    const key = stepKey({ runId, n: place.get(`${runId}@${address}`) ?? -1, stepId: step })
    ran.set(key, (ran.get(key) ?? 0) + 1)
  }
  const broken: string[] = []
  for (const [key, times] of ran) {
    const leave = starts.get(key) ?? 0
    if (times > leave) broken.push(`${key}: ran ${times} times, was started ${leave} times`)
    if (times > 1 && !key.endsWith('.again')) broken.push(`${key}: ran ${times} times and must run once`)
  }
  for (const key of succeeded) if (!ran.has(key)) broken.push(`${key}: succeeded and never ran`)
  return broken
}

type Stored = { run_id: string; n: number; step_id: string; attempt: number; bytes: Buffer }

/** Steps whose stored output is not what the log says it is. */
export async function brokenOutput(log: readonly Recorded[], postgresUrl: string): Promise<string[]> {
  const client = new pg.Client(postgresUrl)
  await client.connect()
  try {
    const { rows } = await client.query<Stored>(
      `select run_id, n, step_id, attempt, string_agg(data, '' order by seq) as bytes
       from output.run_output group by run_id, n, step_id, attempt`,
    )
    const stored = new Map(rows.map(row => [`${row.run_id}.${row.n}.${row.step_id}.${row.attempt}`, row.bytes]))
    return log.flatMap(event => {
      if (event.type !== 'OutputSealed') return []
      const { runId, n, stepId, attempt, bytes, sha256 } = event.data
      const key = `${runId}.${n}.${stepId}.${attempt}`
      const found = stored.get(key) ?? Buffer.alloc(0)
      return sha256Hex(found) === sha256 ? [] : [`${key}: ${found.length} of ${bytes} bytes are stored`]
    })
  } finally {
    await client.end()
  }
}
