import pg from 'pg'
import { connectEventStore } from '../../infra/event-store/client.ts'
import { sha256Hex } from '../../infra/ids.ts'
import { categoryOf, type Recorded, type StreamCategory } from '../../schemas/events.ts'
import type { Known } from './client-ledger.ts'

export const categories: StreamCategory[] = ['target', 'credential', 'release', 'job', 'run', 'targetrun', 'command']
/** An event that no other event of its run may follow. */
export const RUN_ENDED = /^Run(Succeeded|PartiallySucceeded|Failed|Cancelled|TimedOut|Rejected)$/

/** The whole log, from its beginning to where it ends now. */
export async function readLog(url: string): Promise<Recorded[]> {
  const store = connectEventStore(url)
  const stop = new AbortController()
  const events: Recorded[] = []
  try {
    for await (const batch of store.follow({ categories, after: undefined, signal: stop.signal })) {
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
