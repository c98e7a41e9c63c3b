import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type EventData, EventStoreDBClient, type Position, streamNameFilter } from '@eventstore/db-client'
import fc from 'fast-check'
import t from 'tap'
import { startEventStore } from '../../../test/support/event-store.ts'
import { collect, fact, refusal, typesOf } from './contract/support.ts'

t.setTimeout(120_000)

type Expected = 'any' | 'no_stream' | 'stream_exists' | 'last' | 'before-last' | 'beyond'

type Operation =
  | { kind: 'append'; stream: number; expected: Expected; count: number }
  | { kind: 'repeat'; stream: number; skip: number; count: number; more: boolean; any: boolean }
  | { kind: 'read'; stream: number; from: number; count: number; backwards: boolean }
  | { kind: 'limit'; stream: number; maxCount: number }
  | { kind: 'delete' | 'tombstone'; stream: number }

const stream = fc.nat(2)
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      stream,
      expected: anyExpected(),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('repeat' as const),
      stream,
      skip: fc.nat(3),
      count: fc.integer({ min: 1, max: 3 }),
      more: fc.boolean(),
      any: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      stream,
      from: fc.nat(12),
      count: fc.integer({ min: 1, max: 12 }),
      backwards: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('limit' as const), stream, maxCount: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('delete' as const, 'tombstone' as const), stream }) },
)

function anyExpected(): fc.Arbitrary<Expected> {
  return fc.constantFrom('any', 'no_stream', 'stream_exists', 'last', 'last', 'before-last', 'beyond')
}

/** The simplest thing that behaves like a stream: all its events, the first one visible, and whether it is gone. */
class ModelStream {
  readonly events: EventData[] = []
  maxCount = Number.POSITIVE_INFINITY
  truncated = 0
  hasMetadata = false
  isDeleted = false
  isTombstoned = false

  get last(): number {
    return this.events.length - 1
  }

  visible(): { revision: number; event: EventData }[] {
    const first = this.isDeleted ? this.events.length : Math.max(this.truncated, this.events.length - this.maxCount)
    return this.events.map((event, revision) => ({ event, revision })).slice(first)
  }

  /** The revision an append is answered with, or the error type. Adds the events when they are new. */
  append(expected: number | 'any' | 'stream_exists', events: EventData[]): number | string {
    if (this.isTombstoned) return 'stream-deleted'
    if (expected === 'stream_exists' && this.last < 0 && !this.hasMetadata) return 'wrong-expected-version'
    if (expected === 'stream_exists' && this.isDeleted) return 'stream-deleted'
    const places = events.map(({ id }) => this.events.findIndex(known => known.id === id))
    const isExact = typeof expected === 'number'
    if (isExact && expected > this.last) return 'wrong-expected-version'
    const isRepeat = places.every((place, index) => (isExact ? place === expected + 1 + index : place >= 0))
    if (isRepeat && (!isExact || expected < this.last)) return places.at(-1) ?? -1
    const isNew = isExact ? expected === this.last : places[0] === -1
    const recreates = expected === -1 && this.isDeleted && places[0] !== 0
    if (!isNew && !recreates) return 'wrong-expected-version'
    if (this.isDeleted) this.truncated = this.events.length
    this.isDeleted = false
    this.events.push(...events)
    return this.last
  }
}

t.test('the node behaves like the model, whatever is asked of it', { timeout: 120_000 }, async t => {
  const store = await startEventStore(t)
  const client = EventStoreDBClient.connectionString(store.connectionString)
  t.teardown(() => client.dispose())
  const start = (await client.appendToStream('start', fact('Start'))).position
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 25 }), async operations => {
      await followsModel(client, start, operations)
    }),
    { numRuns: 60, interruptAfterTimeLimit: 60_000, seed: 20_250_101 },
  )
  t.pass('every answer was the one of the model')
})

async function followsModel(client: EventStoreDBClient, start: Position | undefined, operations: Operation[]) {
  const prefix = `m${randomUUID().replaceAll('-', '')}-`
  const model = [new ModelStream(), new ModelStream(), new ModelStream()]
  const order: string[] = []
  const subscription = client.subscribeToAll({
    fromPosition: start ?? 'start',
    filter: streamNameFilter({ prefixes: [prefix] }),
  })
  await once(subscription, 'confirmation')
  for (const step of operations) {
    const known = model[step.stream] ?? new ModelStream()
    await perform(client, `${prefix}${step.stream}`, known, step, order)
  }
  for (const [index, known] of model.entries()) {
    await compareRead(client, `${prefix}${index}`, known, { from: 0, count: 1000, backwards: false })
  }
  const seen = typesOf(await collect(subscription, order.length))
  equal(seen, order, 'the subscription saw every event once, in the order of the log')
  if (order.length === 0) await subscription.unsubscribe()
}

async function perform(client: EventStoreDBClient, name: string, known: ModelStream, step: Operation, order: string[]) {
  switch (step.kind) {
    case 'append': {
      const events = Array.from({ length: step.count }, () => fact(`E${randomUUID()}`))
      return compareAppend(client, name, known, resolve(step.expected, known), events, order)
    }
    case 'repeat': {
      const again = known.events.slice(step.skip, step.skip + step.count)
      const events = step.more ? [...again, fact(`E${randomUUID()}`)] : again
      if (events.length === 0) return
      return compareAppend(client, name, known, step.any ? 'any' : step.skip - 1, events, order)
    }
    case 'read':
      return compareRead(client, name, known, step)
    case 'limit':
      if (known.isTombstoned || known.isDeleted) return
      known.maxCount = step.maxCount
      known.truncated = 0
      known.hasMetadata = true
      await client.setStreamMetadata(name, { maxCount: step.maxCount })
      return
    case 'delete':
      if (known.isTombstoned || known.last < 0) return
      known.isDeleted = true
      known.hasMetadata = true
      await client.deleteStream(name)
      return
    case 'tombstone':
      if (known.isTombstoned) return
      known.isTombstoned = true
      order.push('$streamDeleted')
      await client.tombstoneStream(name)
  }
}

function resolve(expected: Expected, known: ModelStream): number | 'any' | 'stream_exists' {
  switch (expected) {
    case 'no_stream':
      return -1
    case 'last':
      return known.last
    case 'before-last':
      return Math.max(-1, known.last - 1)
    case 'beyond':
      return known.last + 2
    case 'any':
    case 'stream_exists':
      return expected
  }
}

async function compareAppend(
  client: EventStoreDBClient,
  name: string,
  known: ModelStream,
  expected: number | 'any' | 'stream_exists',
  events: EventData[],
  order: string[],
) {
  const before = known.events.length
  const answer = known.append(expected, events)
  order.push(...known.events.slice(before).map(({ type }) => type))
  const expectedRevision =
    typeof expected !== 'number' ? expected : expected < 0 ? ('no_stream' as const) : BigInt(expected)
  const append = client.appendToStream(name, events, { expectedRevision })
  if (typeof answer === 'number') equal(Number((await append).nextExpectedRevision), answer, `append at ${expected}`)
  else equal((await refusal(append)).type, answer, `append at ${expected}`)
}

async function compareRead(
  client: EventStoreDBClient,
  name: string,
  known: ModelStream,
  { from, count, backwards }: { from: number; count: number; backwards: boolean },
) {
  const direction = backwards ? ('backwards' as const) : ('forwards' as const)
  const read = collect(client.readStream(name, { fromRevision: BigInt(from), maxCount: count, direction }))
  if (known.isTombstoned) return equal((await refusal(read)).type, 'stream-deleted', 'read')
  if (known.last < 0 || known.isDeleted) return equal((await refusal(read)).type, 'stream-not-found', 'read')
  const visible = known.visible().filter(({ revision }) => (backwards ? revision <= from : revision >= from))
  const chosen = (backwards ? visible.toReversed() : visible).slice(0, count)
  const seen = (await read).map(({ event }) => `${event?.revision} ${event?.id}`)
  equal(
    seen,
    chosen.map(({ event, revision }) => `${revision} ${event.id}`),
    `read ${direction} from ${from}`,
  )
}

function equal(found: unknown, wanted: unknown, what: string) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)]
  if (left !== right) throw new Error(`${what}: found ${left}, the model says ${right}`)
}
