import type { Page, Reader } from '../store/reader.ts'
import { streamDeleted } from './errors.ts'
import type { Outbox } from './outbox.ts'
import type { ReadPlan } from './read-plan.ts'
import { eventReply, replies } from './read-replies.ts'

/** Serves a read that ends: of $all or of one stream, in either direction, filtered, up to a count. */
export async function serveRead(plan: ReadPlan, reader: Reader, outbox: Outbox): Promise<void> {
  if (plan.stream === undefined) await sendPages(plan, reader, outbox, allPages(plan, reader))
  else await readOneStream(plan, plan.stream, reader, outbox)
  outbox.end()
}

async function readOneStream(plan: ReadPlan, name: string, reader: Reader, outbox: Outbox): Promise<void> {
  const stream = reader.stream(name, Date.now())
  if (stream.state === 'tombstoned') throw streamDeleted(name)
  if (stream.state !== 'visible') {
    await outbox.send(replies.streamNotFound(name))
    return
  }
  const pages = plan.backwards
    ? (from: number) => reader.streamBackwards(stream, from)
    : (from: number) => reader.streamForwards(stream, from)
  await sendPages(plan, reader, outbox, pagesFrom(originOf(plan, stream.last), pages))
}

function allPages(plan: ReadPlan, reader: Reader): Iterable<Page> {
  const start = originOf(plan, Number.MAX_SAFE_INTEGER)
  if (plan.backwards) return pagesFrom(start, from => reader.allBackwards(from))
  return pagesFrom(start, (from, exact) => reader.allForwards(from, exact))
}

function originOf(plan: ReadPlan, last: number): number {
  if (plan.from === 'start') return 0
  return plan.from === 'end' ? last : plan.from
}

function* pagesFrom(start: number, read: (from: number, exact: boolean) => Page): Iterable<Page> {
  let page = read(start, false)
  yield page
  while (!page.done) {
    page = read(page.next, true)
    yield page
  }
}

async function sendPages(plan: ReadPlan, reader: Reader, outbox: Outbox, pages: Iterable<Page>): Promise<void> {
  let left = plan.limit
  for (const { events } of pages) {
    const matches = plan.filter?.matches(events)
    for (const [index, event] of events.entries()) {
      if (matches && !matches[index]) continue
      if (left-- <= 0 || outbox.closed) return
      const full = outbox.send(eventReply(event, plan.resolveLinks, reader))
      if (full) await full
    }
    if (left <= 0 || outbox.closed) return
    // Pages without a match are not waited for by gRPC; other calls get their turn between them.
    await new Promise(resolve => setImmediate(resolve))
  }
}
