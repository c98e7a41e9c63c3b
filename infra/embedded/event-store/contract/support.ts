import { randomUUID } from 'node:crypto'
import {
  type Credentials,
  type EventData,
  EventStoreDBClient,
  jsonEvent,
  type ResolvedEvent,
} from '@eventstore/db-client'

/** What one part of the contract works with: a client of the store under test and names nobody else uses. */
export type Contract = { client: EventStoreDBClient; fresh(category: string): string }

/** A contract over one store; names carry a part of their own, so it may run against a store that has been used. */
export function contractOver(connectionString: string): Contract {
  const own = randomUUID().replaceAll('-', '')
  let counter = 0
  return {
    client: EventStoreDBClient.connectionString(connectionString),
    fresh: category => `${category}${own}-${counter++}`,
  }
}

/** The same with credentials on every append, which makes the client take Append instead of BatchAppend. */
export function plainAppendContractOver(connectionString: string, credentials: Credentials): Contract {
  const contract = contractOver(connectionString)
  const append = contract.client.appendToStream.bind(contract.client)
  contract.client.appendToStream = (stream, events, options) => append(stream, events, { credentials, ...options })
  return contract
}

export const fact = (type: string, data: Record<string, string | number> = {}): EventData => jsonEvent({ type, data })

export const facts = (count: number, type = 'Counted'): EventData[] =>
  Array.from({ length: count }, (_, index) => fact(type, { index }))

/** Reads to the end; at most `limit` events when given, for reads that would otherwise go on. */
export async function collect<T>(source: AsyncIterable<T>, limit = Number.POSITIVE_INFINITY): Promise<T[]> {
  const found: T[] = []
  if (limit === 0) return found
  for await (const item of source) {
    found.push(item)
    if (found.length >= limit) break
  }
  return found
}

export const typesOf = (events: ResolvedEvent[]) => events.map(({ event }) => event?.type)
export const revisionsOf = (events: ResolvedEvent[]) => events.map(({ event }) => Number(event?.revision))

/** What a rejected promise was rejected with. Fails when it was not. */
export async function refusal(promise: Promise<unknown>): Promise<Record<string, unknown>> {
  try {
    await promise
  } catch (error) {
    return error as Record<string, unknown>
  }
  throw new Error('the call was expected to be refused')
}
