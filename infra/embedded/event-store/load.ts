import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client'

export type AppendLoad = { writers: number; appends: number; payloadBytes: number }

/**
 * Load on any event store through the unmodified client: so many writers, each appending one event at a time to a
 * stream of its own at the exact revision. Answers the seconds from first to last acknowledgement.
 */
export async function appendLoad(connectionString: string, load: AppendLoad): Promise<number> {
  const client = EventStoreDBClient.connectionString(connectionString)
  const run = Date.now()
  const text = 'x'.repeat(load.payloadBytes)
  let left = load.appends
  const writer = async (number: number) => {
    const stream = `load${run}-${number}`
    for (let revision = -1n; left-- > 0; revision++) {
      const expectedRevision = revision < 0n ? 'no_stream' : revision
      await client.appendToStream(stream, jsonEvent({ type: 'Loaded', data: { number, text } }), { expectedRevision })
    }
  }
  await client.appendToStream(`load${run}-first`, jsonEvent({ type: 'Loaded', data: {} }))
  const started = performance.now()
  await Promise.all(Array.from({ length: load.writers }, (_, number) => writer(number)))
  const seconds = (performance.now() - started) / 1000
  await client.dispose()
  return seconds
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
