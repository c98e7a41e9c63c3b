import { once } from 'node:events'
import {
  type AllStreamSubscription,
  END,
  eventTypeFilter,
  excludeSystemEvents,
  type Filter,
  type Position,
  START,
  streamNameFilter,
} from '@eventstore/db-client'
import type { Test } from 'tap'
import { type Contract, collect, fact, facts, refusal, revisionsOf, typesOf } from './support.ts'

/** What every store does for catch-up subscriptions, and for the filters of those on $all. */
export function subscriptionContract(t: Test, { client, fresh }: Contract): void {
  const positionOf = async (stream: string): Promise<Position> => {
    const { position } = await client.appendToStream(stream, fact('Marker'))
    if (!position) throw new Error('an append has a position')
    return position
  }

  t.test('a subscription to a stream gives what was there, says so, and goes on with what comes', async t => {
    const stream = fresh('order')
    await client.appendToStream(stream, facts(600))
    const subscription = client.subscribeToStream(stream, { fromRevision: START })
    const caughtUp = once(subscription, 'caughtUp')
    const received = collect(subscription, 602)
    await caughtUp
    await client.appendToStream(stream, facts(2, 'Live'))
    const events = await received
    t.same(
      revisionsOf(events),
      Array.from({ length: 602 }, (_, revision) => revision),
    )
    t.same(typesOf(events).slice(-2), ['Live', 'Live'])
  })

  t.test('subscriptions begin after the place they are given', async t => {
    const stream = fresh('order')
    await client.appendToStream(stream, facts(4))
    t.same(revisionsOf(await collect(client.subscribeToStream(stream, { fromRevision: 1n }), 2)), [2, 3])
    const fromEnd = client.subscribeToStream(stream, { fromRevision: END })
    const received = collect(fromEnd, 1)
    await once(fromEnd, 'confirmation')
    await client.appendToStream(stream, fact('New'))
    t.same(revisionsOf(await received), [4])
    const marker = await positionOf(fresh('marker'))
    const later = await positionOf(stream)
    const [first] = await collect(client.subscribeToAll({ fromPosition: marker, filter: excludeSystemEvents() }), 1)
    t.equal(first?.event?.position.commit, later.commit)
  })

  t.test('a subscription may wait for a stream that is not there yet', async t => {
    const stream = fresh('order')
    const subscription = client.subscribeToStream(stream)
    const received = collect(subscription, 1)
    await once(subscription, 'confirmation')
    await client.appendToStream(stream, fact('Born'))
    t.same(typesOf(await received), ['Born'])
  })

  t.test('filters select by prefix or pattern of stream name or event type', async t => {
    const [wanted, other] = [fresh('wanted'), fresh('other')]
    const marker = await positionOf(fresh('marker'))
    await client.appendToStream(other, [fact('Kept'), fact('Dropped')])
    await client.appendToStream(wanted, [fact('Kept'), fact('Dropped')])
    await client.appendToStream(other, fact('Kept'))
    await client.appendToStream(wanted, fact('Kept'))
    const select = async (filter: Filter, count: number) => {
      const events = await collect(client.subscribeToAll({ fromPosition: marker, filter }), count)
      return events.map(({ event }) => `${event?.type} in ${event?.streamId === wanted ? 'wanted' : 'other'}`)
    }
    const inWanted = ['Kept in wanted', 'Dropped in wanted', 'Kept in wanted']
    const kept = ['Kept in other', 'Kept in wanted', 'Kept in other', 'Kept in wanted']
    t.same(await select(streamNameFilter({ prefixes: [wanted, 'nobody'] }), 3), inWanted)
    t.same(await select(streamNameFilter({ regex: `^${wanted}$` }), 3), inWanted)
    t.same(await select(eventTypeFilter({ prefixes: ['Kep'] }), 4), kept)
    t.same(await select(eventTypeFilter({ regex: '^K.*t$' }), 4), kept)
  })

  t.test('system events are left out when asked', async t => {
    const stream = fresh('order')
    const marker = await positionOf(fresh('marker'))
    await client.setStreamMetadata(stream, { maxCount: 3 })
    await client.appendToStream(stream, fact('Ours'))
    const [first] = await collect(client.subscribeToAll({ fromPosition: marker, filter: excludeSystemEvents() }), 1)
    t.equal(first?.event?.type, 'Ours')
    const unfiltered = await collect(client.subscribeToAll({ fromPosition: marker }), 2)
    t.same(typesOf(unfiltered), ['$metadata', 'Ours'])
  })

  t.test('a filtered subscription tells how far it has looked', async t => {
    const stream = fresh('noise')
    const marker = await positionOf(fresh('marker'))
    await client.appendToStream(stream, facts(200))
    const end = await positionOf(stream)
    const seen: bigint[] = []
    const reached = new Promise<void>(resolve => {
      const filter = streamNameFilter({
        prefixes: [fresh('nothing')],
        maxSearchWindow: 10,
        checkpointInterval: 2,
        async checkpointReached(_subscription: AllStreamSubscription, position: Position) {
          seen.push(position.commit)
          if (position.commit >= end.commit) resolve()
        },
      })
      const subscription = client.subscribeToAll({ fromPosition: marker, filter }).resume()
      t.teardown(() => subscription.unsubscribe())
    })
    await reached
    t.ok(seen.length >= 10, 'a checkpoint at least every window times interval')
    t.same(
      seen,
      seen.toSorted((a, b) => Number(a - b)),
    )
  })

  t.test('a filter that is not a pattern is refused', async t => {
    const filter = streamNameFilter({ regex: '(' })
    t.match(await refusal(collect(client.subscribeToAll({ filter }), 1)), { code: 3 })
  })
}
