import t from 'tap'
import { deciders } from '../command-api/domain/index.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { derivedId } from '../infra/ids.ts'
import { type AnyEvent, type Recorded, streams } from '../schemas/events.ts'
import { History } from '../test/support/history.ts'
import { ResourceCache } from './resource-cache.ts'

const targetId = derivedId('target', 'web-1')
const stream = streams.target(targetId)
const registered: AnyEvent = {
  type: 'TargetRegistered',
  data: {
    targetId,
    name: 'web-1',
    address: '10.0.0.1',
    port: 22,
    platform: 'linux',
    tags: {},
    hostKeyPolicy: 'pinned',
  },
}
const renamed = (name: string): AnyEvent => ({ type: 'TargetRenamed', data: { targetId, name } })

/** A log of this one stream; reads are counted, and wait until they are let through. */
function log(...events: AnyEvent[]) {
  const history = new History()
  const recorded: Recorded[] = []
  const append = (event: AnyEvent) => {
    const one = history.record(event)
    recorded.push(one)
    return one
  }
  events.forEach(append)
  let reads = 0
  let gate = Promise.resolve()
  const store: Pick<EventStore, 'read'> = {
    async read() {
      reads += 1
      const seen = [...recorded]
      await gate
      return { events: seen, revision: seen.at(-1)?.revision ?? 'none' }
    },
  }
  return {
    append,
    cache: (max = 10) => new ResourceCache(store, deciders.target, max),
    reads: () => reads,
    /** The next read takes its snapshot at once and arrives when this is called. */
    hold() {
      let open = () => {}
      gate = new Promise(resolve => {
        open = () => resolve()
      })
      return open
    },
  }
}
const nameOf = async (cache: ReturnType<ReturnType<typeof log>['cache']>, of = stream) => {
  const target = await cache.get(of)
  return target.status === 'absent' ? undefined : target.name
}

t.test('a stream is read once and then kept current by the log', async t => {
  const { cache: make, reads, append } = log(registered)
  const cache = make()
  t.same(await Promise.all([nameOf(cache), nameOf(cache)]), ['web-1', 'web-1'])
  cache.apply(append(renamed('web-01')))
  t.equal(await nameOf(cache), 'web-01')
  t.equal(reads(), 1)
})

t.test('an event that was in what was read changes nothing', async t => {
  const { cache: make, append, reads } = log(registered)
  const late = append(renamed('web-01'))
  const cache = make()
  await nameOf(cache)
  cache.apply(late)
  t.equal(await nameOf(cache), 'web-01')
  t.equal(reads(), 1)
})

t.test('a stream whose beginning the log tells is never read', async t => {
  const { cache: make, reads, append } = log()
  const cache = make()
  cache.apply(append(registered))
  cache.apply(append(renamed('web-01')))
  t.equal(await nameOf(cache), 'web-01')
  t.equal(reads(), 0)
})

t.test('a gap means reading again', async t => {
  const { cache: make, reads, append } = log(registered)
  const cache = make()
  await nameOf(cache)
  append(renamed('missed'))
  cache.apply(append(renamed('web-02')))
  t.equal(await nameOf(cache), 'web-02')
  t.equal(reads(), 2)
})

t.test('what is appended while it is read is not missed', async t => {
  const { cache: make, hold, reads, append } = log(registered)
  const cache = make()
  const open = hold()
  const early = nameOf(cache)
  cache.apply(append(renamed('web-01')))
  open()
  t.equal(await early, 'web-1')
  t.equal(await nameOf(cache), 'web-01')
  t.equal(reads(), 2)
})

t.test('a stream that is absent, then begins', async t => {
  const { cache: make, append } = log()
  const cache = make()
  t.equal(await nameOf(cache), undefined)
  cache.apply(append(registered))
  t.equal(await nameOf(cache), 'web-1')
})

t.test('the least recently used goes first; a failed read is not remembered', async t => {
  const { cache: make, reads } = log(registered)
  const cache = make(2)
  for (const name of ['a', 'b', 'a', 'c', 'a']) await cache.get(name)
  t.equal(reads(), 3, 'a is kept')
  await cache.get('b')
  t.equal(reads(), 4)
  let fail = true
  const broken = new ResourceCache(
    {
      async read() {
        if (fail) throw new Error('away')
        return { events: [], revision: 'none' as const }
      },
    },
    deciders.target,
    2,
  )
  await t.rejects(broken.get(stream), { message: 'away' })
  fail = false
  t.match(await broken.get(stream), { status: 'absent' })
})
