import t, { type Test } from 'tap'
import type { StreamCategory } from '../../schemas/events.ts'
import { startEventStore } from '../../test/support/event-store.ts'
import { sampleEvent } from '../../test/support/sample-events.ts'
import { connectEventStore } from './client.ts'
import type { Batch, EventStore, FollowOptions } from './port.ts'
import { SharedLog } from './shared-log.ts'

/** A log that is shared, with a count of the readings that are open. */
async function sharing(t: Test, options: { kept?: number } = {}) {
  const node = await startEventStore(t)
  const store = connectEventStore(node.connectionString, { appendDeadlineMs: 3_000 })
  let readings = 0
  async function* counted(of: FollowOptions): AsyncGenerator<Batch> {
    readings += 1
    try {
      yield* store.follow(of)
    } finally {
      readings -= 1
    }
  }
  const shared = new SharedLog(options).join({ ...store, follow: counted })
  const followers: Follower[] = []
  t.teardown(async () => {
    for (const follower of followers) await follower.leave()
    await store.close()
  })
  const follow = (categories: StreamCategory[]) => {
    const follower = new Follower(shared, categories)
    followers.push(follower)
    return follower
  }
  let appended = 0
  const append = async (category: StreamCategory, count: number) => {
    for (let i = 0; i < count; i += 1) {
      appended += 1
      await store.append(`${category}-${appended}`, [sampleEvent(appended)], 'none')
    }
  }
  return { node, follow, append, readings: () => readings }
}

class Follower {
  readonly seen: string[] = []
  caughtUp = 0
  /** Until it resolves the follower is busy with what it has. */
  busy: Promise<void> = Promise.resolve()
  readonly #stop = new AbortController()
  readonly #done: Promise<void>
  #onNews: () => void = () => undefined

  constructor(store: EventStore, categories: StreamCategory[]) {
    this.#done = this.#follow(store, categories)
  }

  async has(count: number): Promise<string[]> {
    while (this.seen.length < count) await this.news()
    return this.seen
  }

  /** Resolves after the next batch. */
  news(): Promise<void> {
    return new Promise(resolve => {
      this.#onNews = resolve
    })
  }

  async leave(): Promise<void> {
    this.#stop.abort()
    await this.#done
  }

  async #follow(store: EventStore, categories: StreamCategory[]): Promise<void> {
    for await (const batch of store.follow({ categories, after: undefined, signal: this.#stop.signal, maxBatch: 7 })) {
      this.seen.push(...batch.events.map(({ stream }) => stream))
      if (batch.caughtUp) this.caughtUp += 1
      this.#onNews()
      await this.busy
    }
  }
}

const streams = (category: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `${category}-${from + i}`)

t.test('followers that have caught up read the log once, and each sees its own in order', async t => {
  const { follow, append, readings } = await sharing(t)
  await append('job', 20)
  const [jobs, both, runs] = [follow(['job']), follow(['job', 'run']), follow(['run'])]
  t.same(await jobs.has(20), streams('job', 1, 20))
  await append('run', 15)
  t.same(await runs.has(15), streams('run', 21, 35))
  await append('job', 15)
  t.same(await jobs.has(35), [...streams('job', 1, 20), ...streams('job', 36, 50)])
  t.same(await both.has(50), [...streams('job', 1, 20), ...streams('run', 21, 35), ...streams('job', 36, 50)])
  t.equal(runs.seen.length, 15)
  t.equal(readings(), 1)
  t.ok([jobs, both, runs].every(({ caughtUp }) => caughtUp >= 1))
})

t.test('one that falls behind reads on its own and misses nothing', async t => {
  const { follow, append, readings } = await sharing(t, { kept: 5 })
  const [slow, quick] = [follow(['job']), follow(['job'])]
  await append('job', 1)
  await Promise.all([slow.has(1), quick.has(1)])
  let goOn = () => {}
  slow.busy = new Promise(resolve => {
    goOn = resolve
  })
  await append('job', 1)
  await slow.has(2)
  await append('job', 40)
  t.same(await quick.has(42), streams('job', 1, 42))
  t.equal(slow.seen.length, 2)
  goOn()
  t.same(await slow.has(42), streams('job', 1, 42))
  await append('job', 10)
  t.same(await slow.has(52), streams('job', 1, 52))
  t.same(await quick.has(52), streams('job', 1, 52))
  t.ok(readings() <= 2)
})

t.test('whoever began it may leave, and the event store may go away for a while', async t => {
  const { node, follow, append, readings } = await sharing(t)
  const first = follow(['job'])
  await append('job', 3)
  await first.has(3)
  const [second, third] = [follow(['job']), follow(['job'])]
  await Promise.all([second.has(3), third.has(3)])
  await first.leave()
  await append('job', 3)
  await Promise.all([second.has(6), third.has(6)])
  await node.kill9()
  await node.restart()
  await append('job', 30)
  t.same(await second.has(36), streams('job', 1, 36))
  t.same(await third.has(36), streams('job', 1, 36))
  t.equal(first.seen.length, 3)
  t.equal(readings(), 1)
  await Promise.all([second.leave(), third.leave()])
  t.equal(readings(), 0)
})
