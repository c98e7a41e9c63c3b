import type { GroupCommit } from '../store/group-commit.ts'
import type { Page, Reader } from '../store/reader.ts'
import { streamDeleted } from './errors.ts'
import type { Outbox } from './outbox.ts'
import type { ReadPlan } from './read-plan.ts'
import { eventReply, replies } from './read-replies.ts'

/** What a subscription reads from, page by page; `more` says whether there may be something behind the last page. */
type Source = { next(): Page; more(): boolean }

/**
 * Serves a catch-up subscription. It pulls pages and waits for gRPC between events, so it never holds more than a page;
 * it says CaughtUp when it has sent all that is durable and FellBehind when it is a full page behind again
 * (EventStoreDB 23.10 docs, catch-up subscriptions).
 */
export async function serveSubscription(
  plan: ReadPlan,
  reader: Reader,
  commits: GroupCommit,
  durableEnd: () => number,
  outbox: Outbox,
): Promise<void> {
  const source =
    plan.stream === undefined
      ? allSource(plan, reader, durableEnd)
      : streamSource(plan, plan.stream, reader, durableEnd)
  await outbox.send(replies.confirmation())
  const sender = new Sender(plan, reader, outbox)
  let live = false
  while (!outbox.closed) {
    const page = source.next()
    await sender.sendPage(page)
    // Pages without a match are not waited for by gRPC; other calls get their turn between them.
    await new Promise(resolve => setImmediate(resolve))
    if (!page.done) {
      if (live) await outbox.send(replies.fellBehind)
      live = false
    } else if (!source.more()) {
      if (!live) await sender.catchUp()
      live = true
      await outbox.until(wake => (source.more() ? wakeNow(wake) : commits.onceSettled(wake)))
    }
  }
}

function wakeNow(wake: () => void): () => void {
  const immediate = setImmediate(wake)
  return () => clearImmediate(immediate)
}

/** Sends the events that match, with a checkpoint after every so many that were looked at. */
class Sender {
  readonly #plan: ReadPlan
  readonly #reader: Reader
  readonly #outbox: Outbox
  #sinceCheckpoint = 0
  #lastCheckpoint = -1
  #lookedAt = -1

  constructor(plan: ReadPlan, reader: Reader, outbox: Outbox) {
    this.#plan = plan
    this.#reader = reader
    this.#outbox = outbox
  }

  async sendPage(page: Page): Promise<void> {
    const { filter, resolveLinks } = this.#plan
    const matches = filter?.matches(page.events)
    for (const [index, event] of page.events.entries()) {
      if (this.#outbox.closed) return
      if (!matches || matches[index]) {
        const full = this.#outbox.send(eventReply(event, resolveLinks, this.#reader))
        if (full) await full
      }
      this.#lookedAt = event.position
      if (filter && ++this.#sinceCheckpoint >= filter.checkpointInterval) await this.#checkpoint(event.position)
    }
  }

  async catchUp(): Promise<void> {
    if (this.#plan.filter && this.#lookedAt > this.#lastCheckpoint) await this.#checkpoint(this.#lookedAt)
    await this.#outbox.send(replies.caughtUp)
  }

  async #checkpoint(position: number): Promise<void> {
    this.#sinceCheckpoint = 0
    this.#lastCheckpoint = position
    await this.#outbox.send(replies.checkpoint(position))
  }
}

// Subscriptions are exclusive of the position they start from, reads are inclusive (EventStoreDB docs).
function allSource(plan: ReadPlan, reader: Reader, durableEnd: () => number): Source {
  let next = plan.from === 'start' ? 0 : plan.from === 'end' ? durableEnd() : plan.from + 1
  let exact = plan.from === 'start' || plan.from === 'end'
  return {
    next() {
      const page = reader.allForwards(next, exact)
      next = page.next
      // A position beyond the end, out of another store, is no place between events.
      exact = page.events.length > 0 || next <= durableEnd()
      return page
    },
    more: () => next < durableEnd(),
  }
}

function streamSource(plan: ReadPlan, name: string, reader: Reader, durableEnd: () => number): Source {
  const seen = visible(reader, name)
  let next = plan.from === 'start' ? 0 : plan.from === 'end' ? seen.last + 1 : plan.from + 1
  let lookedAt = -1
  return {
    next() {
      lookedAt = durableEnd()
      const stream = visible(reader, name)
      next = Math.max(next, stream.first)
      if (stream.number === 0) return { events: [], done: true, next }
      const page = reader.streamForwards(stream, next)
      next = page.next
      return page
    },
    more: () => lookedAt < durableEnd(),
  }
}

function visible(reader: Reader, name: string) {
  const stream = reader.stream(name, Date.now())
  if (stream.state === 'tombstoned') throw streamDeleted(name)
  return stream
}
