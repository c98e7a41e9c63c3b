import type { EventStore } from '../../infra/event-store/port.ts'
import { type Recorded, streams } from '../../schemas/events.ts'
import { asNew, History, ids } from '../../test/support/made-up-log.ts'

const TARGETS = 1_000
const JOBS = 50
const TARGETS_PER_RUN = 50

/** A log as daily work makes it: mostly runs over 50 targets, some changes of targets and jobs in between. */
export function bigLog(size: number): Recorded[] {
  const history = new History()
  history.credential(0)
  for (let n = 0; n < TARGETS; n += 1) history.target(n, { env: n % 3 ? 'prod' : 'test', rack: String(n % 40) })
  for (let n = 0; n < JOBS; n += 1) history.job(n)
  for (let round = 0; history.events.length < size; round += 1) {
    const first = (round * TARGETS_PER_RUN) % TARGETS
    const targets = Array.from({ length: TARGETS_PER_RUN }, (_, i) => (first + i) % TARGETS)
    history.run(round, round % JOBS, targets, round % 10)
    for (const n of targets.slice(0, 10)) {
      const targetId = ids.target(n)
      history.add(streams.target(targetId), {
        type: 'TargetTagged',
        data: { targetId, key: 'seen', value: `${round}` },
      })
    }
  }
  return history.events.slice(0, size)
}

const WRITERS = 16

/** Appends the events stream by stream, as few appends as the order within each stream allows. */
export async function appendAll(store: EventStore, events: readonly Recorded[]): Promise<void> {
  const byStream = new Map<string, Recorded[]>()
  for (const event of events) byStream.set(event.stream, [...(byStream.get(event.stream) ?? []), event])
  const waiting = [...byStream].reverse()
  const writer = async () => {
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [stream, all] = next
      for (let i = 0; i < all.length; i += 500) {
        await store.append(stream, all.slice(i, i + 500).map(asNew), i === 0 ? 'none' : BigInt(i - 1))
      }
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, writer))
}
