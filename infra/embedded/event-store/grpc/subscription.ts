import type { GroupCommit } from '../store/group-commit.ts'
import type { Page, Reader, StoredEvent } from '../store/reader.ts'
import { streamDeleted } from './errors.ts'
import type { Outbox } from './outbox.ts'
import type { ReadPlan } from './read-plan.ts'
import { eventReply, replies } from './read-replies.ts'

/** What a subscription reads from; `more` says whether there may be something at or after the cursor. */
type Source = {
  next(): Page
  advance(event: StoredEvent): void
  more(): boolean
  /** Position up to which everything was looked at, for the checkpoint on catching up. */
  reached(): number
}

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
    await sender.sendPage(page, source)
    if (!page.done) {
      if (live) await outbox.send(replies.fellBehind)
      live = false
    } else if (!source.more()) {
      if (!live) await sender.catchUp(source.reached())
      live = true
      await outbox.until(wake => (source.more() ? wakeNow(wake) : commits.onDurable(wake)))
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

  constructor(plan: ReadPlan, reader: Reader, outbox: Outbox) {
    this.#plan = plan
    this.#reader = reader
    this.#outbox = outbox
  }

  async sendPage(page: Page, source: Source): Promise<void> {
    const { filter, resolveLinks } = this.#plan
    const matches = filter?.matches(page.events)
    for (const [index, event] of page.events.entries()) {
      if (this.#outbox.closed) return
      if (!matches || matches[index]) {
        const full = this.#outbox.send(eventReply(event, resolveLinks, this.#reader))
        if (full) await full
      }
      source.advance(event)
      if (filter && ++this.#sinceCheckpoint >= filter.checkpointInterval) await this.#checkpoint(event.position)
    }
  }

  async catchUp(reached: number): Promise<void> {
    if (this.#plan.filter && reached > this.#lastCheckpoint) await this.#checkpoint(reached)
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
  let reached = -1
  return {
    next: () => reader.allForwards(next, exact),
    advance(event) {
      next = event.next
      exact = true
      reached = event.position
    },
    more: () => next < durableEnd(),
    reached: () => reached,
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
      return stream.number === 0 ? { events: [], done: true } : reader.streamForwards(stream, next)
    },
    advance(event) {
      next = event.header.revision + 1
    },
    more: () => lookedAt < durableEnd(),
    reached: () => -1,
  }
}

function visible(reader: Reader, name: string) {
  const stream = reader.stream(name, Date.now())
  if (stream.state === 'tombstoned') throw streamDeleted(name)
  return stream
}
