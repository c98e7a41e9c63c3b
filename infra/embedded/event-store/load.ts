import { BACKWARDS, END, EventStoreDBClient, jsonEvent } from '@eventstore/db-client'

export type AppendLoad = {
  writers: number
  appends: number
  payloadBytes: number
  metadataBytes?: number
  /** Every event begins a stream, instead of one stream for each writer. */
  newStreams?: boolean
}

/**
 * Load on any event store through the unmodified client: so many writers, each appending one event at a time at the
 * exact revision. Answers the seconds from first to last acknowledgement.
 */
export async function appendLoad(connectionString: string, load: AppendLoad): Promise<number> {
  const client = EventStoreDBClient.connectionString(connectionString)
  const run = Date.now()
  const text = 'x'.repeat(load.payloadBytes)
  const metadata = load.metadataBytes === undefined ? {} : { metadata: { text: 'x'.repeat(load.metadataBytes) } }
  let left = load.appends
  const writer = async (number: number) => {
    for (let written = 0; left-- > 0; written++) {
      const isFirst = load.newStreams || written === 0
      const expectedRevision = isFirst ? 'no_stream' : BigInt(written - 1)
      const stream = load.newStreams ? `load${run}-${number}-${written}` : `load${run}-${number}`
      const event = jsonEvent({ type: 'Loaded', data: { number, text }, ...metadata })
      await client.appendToStream(stream, event, { expectedRevision })
    }
  }
  await client.appendToStream(`load${run}-first`, jsonEvent({ type: 'Loaded', data: {} }))
  const started = performance.now()
  await Promise.all(Array.from({ length: load.writers }, (_, number) => writer(number)))
  const seconds = (performance.now() - started) / 1000
  await client.dispose()
  return seconds
}

/** How many bytes of data and metadata the newest event of a type has. */
export async function sizesOf(connectionString: string, type: string): Promise<{ data: number; metadata: number }> {
  const client = EventStoreDBClient.connectionString(connectionString)
  try {
    for await (const { event } of client.readAll({ direction: BACKWARDS, fromPosition: END, maxCount: 100 }))
      if (event?.type === type)
        return { data: JSON.stringify(event.data).length, metadata: JSON.stringify(event.metadata).length }
    throw new Error(`no ${type} among the newest events`)
  } finally {
    await client.dispose()
  }
}

/** Reads $all from the start through the unmodified client. Answers events a second. */
export async function readAllLoad(connectionString: string): Promise<number> {
  const client = EventStoreDBClient.connectionString(connectionString)
  const started = performance.now()
  let events = 0
  for await (const { event } of client.readAll()) if (event) events++
  const seconds = (performance.now() - started) / 1000
  await client.dispose()
  return events / seconds
}
