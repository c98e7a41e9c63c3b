import {
  AccessDeniedError,
  BACKWARDS,
  type EventData,
  EventStoreDBClient,
  type JSONEventType,
  jsonEvent,
  MaxAppendSizeExceededError,
  NO_STREAM,
  START,
  StreamNotFoundError,
  WrongExpectedVersionError,
} from '@eventstore/db-client'
import type { LogPosition, Recorded } from '../../schemas/events.ts'
import { currentVersion } from '../../schemas/upcasters.ts'
import { mendBatchedAppends } from './batch-stream.ts'
import { follow } from './feed.ts'
import {
  type Appended,
  AppendOutcomeUnknown,
  AppendTooLarge,
  type EventStore,
  EventStoreUnavailable,
  type NewEvent,
  type Revision,
  SecretInEvent,
  WrongRevision,
} from './port.ts'
import { toRecorded } from './recorded.ts'
import { looksLikeSecret } from './secret-scan.ts'

const APPEND_DEADLINE_MS = 5_000
const CLOSE_DEADLINE_MS = 500
const utf8 = new TextEncoder()

/**
 * The event store behind its port, through the unmodified EventStoreDB client.
 * `url` is an EventStoreDB connection string (`esdb://…`, `esdb+discover://…`).
 */
export function connectEventStore(url: string, options: { appendDeadlineMs?: number } = {}): EventStore {
  const client = EventStoreDBClient.connectionString(url)
  mendBatchedAppends(client)
  const deadlineMs = options.appendDeadlineMs ?? APPEND_DEADLINE_MS
  return {
    read: (stream, from) => read(client, stream, from),
    append: (stream, events, expected) => append(client, stream, events, expected, deadlineMs),
    head: () => head(client),
    follow: followOptions => follow(client, followOptions),
    close: () => close(client),
  }
}

/** The client waits without end for streams whose server has gone, so closing has a limit. */
async function close(client: EventStoreDBClient): Promise<void> {
  await within(CLOSE_DEADLINE_MS, client.dispose()).catch(() => {})
}

async function read(client: EventStoreDBClient, stream: string, from?: bigint) {
  const events: Recorded[] = []
  try {
    for await (const { event } of client.readStream(stream, { fromRevision: from ?? START })) {
      if (event) events.push(toRecorded(event))
    }
  } catch (err) {
    if (!(err instanceof StreamNotFoundError)) throw unavailable(err)
  }
  return { events, revision: events.at(-1)?.revision ?? ('none' as Revision) }
}

async function append(
  client: EventStoreDBClient,
  stream: string,
  events: readonly NewEvent[],
  expected: Revision,
  deadlineMs: number,
): Promise<Appended> {
  const data = events.map(toEventData)
  try {
    const expectedRevision = expected === 'none' ? NO_STREAM : expected
    const result = await within(
      deadlineMs,
      client.appendToStream(stream, data, { expectedRevision, deadline: deadlineMs }),
    )
    if (!result.position) throw new AppendOutcomeUnknown(`the event store acknowledged ${stream} without a position`)
    return { revision: result.nextExpectedRevision, position: result.position }
  } catch (err) {
    throw appendError(err, stream)
  }
}

function toEventData({ id, type, data, metadata }: NewEvent): EventData<JSONEventType> {
  const what = looksLikeSecret(JSON.stringify(data))
  if (what) throw new SecretInEvent(`${type} carries what looks like ${what}`)
  const schemaVersion = currentVersion(type)
  // As bytes: an object would go through base64 and back, twice, on its way into the request.
  const bytes = utf8.encode(JSON.stringify({ ...metadata, schemaVersion }))
  return jsonEvent({ id, type, data: data as Record<string, unknown>, metadata: bytes })
}

/** The client waits without end for an answer that never comes, so every append has a timer of its own. */
function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AppendOutcomeUnknown(`no answer within ${ms} ms`)), ms)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

function appendError(err: unknown, stream: string): Error {
  if (err instanceof WrongExpectedVersionError) return new WrongRevision(stream)
  if (err instanceof MaxAppendSizeExceededError) return new AppendTooLarge(stream)
  if (err instanceof AppendOutcomeUnknown || err instanceof SecretInEvent) return err
  if (err instanceof AccessDeniedError) return unavailable(err)
  // A connection that broke while the append was on its way: it may have arrived.
  return new AppendOutcomeUnknown(err instanceof Error ? err.message : String(err))
}

function unavailable(err: unknown): EventStoreUnavailable {
  return new EventStoreUnavailable(err instanceof Error ? err.message : String(err), { cause: err })
}

async function head(client: EventStoreDBClient): Promise<LogPosition | undefined> {
  try {
    for await (const { event } of client.readAll({ direction: BACKWARDS, fromPosition: 'end', maxCount: 1 })) {
      return event?.position
    }
    return undefined
  } catch (err) {
    throw unavailable(err)
  }
}
