import type { Pipelined, Statement } from '../infra/postgres.ts'
import type { LogPosition, Recorded } from '../schemas/events.ts'
import { comparePositions } from '../schemas/position.ts'
import { type Checkpoint, moveCheckpoint } from './checkpoint.ts'
import { type Fact, PoisonEvent, type Projection, type Read } from './projection.ts'
import { type ParkedStream, parkedStream } from './schema.ts'
import { insertRows } from './table.ts'

export type Committed = { checkpoint: Checkpoint; events: number; runIds: string[]; parked: ParkedStream[] }

/**
 * Applies events and moves the checkpoint in one transaction of two round trips. A stream that is parked, or becomes
 * so by a PoisonEvent, is left out; a projection that halts on poison throws it.
 */
export async function applyBatch(
  db: Pipelined,
  projection: Projection,
  from: Checkpoint,
  events: readonly Recorded[],
  reached?: LogPosition,
): Promise<Committed> {
  const facts = timed(events, from.time)
  const position = latest(events.at(-1)?.position, reached)
  const checkpoint = { position, time: facts.at(-1)?.time ?? from.time }
  const move = moveCheckpoint(projection.name, from, checkpoint, events.length)
  if (facts.length === 0) {
    await db.batch([{ text: 'begin' }, move, { text: 'commit' }])
    return { checkpoint, events: 0, runIds: [], parked: [] }
  }
  const begun = db.query({ text: 'begin' })
  const read: Read = async <Row>(statement: Statement) => (await db.query(statement)).rows as Row[]
  const [parked] = await Promise.all([alreadyParked(projection, facts, read), begun])
  const { statements, runIds, poisoned } = await applyHealthy(projection, facts, parked, read)
  await db.batch([move, ...statements, ...insertRows(parkedStream, poisoned), { text: 'commit' }])
  return { checkpoint, events: events.length, runIds, parked: poisoned }
}

function latest(a: LogPosition | undefined, b: LogPosition | undefined): LogPosition | undefined {
  if (!a || !b) return a ?? b
  return comparePositions(a, b) < 0 ? b : a
}

/** The log's clock may be set back; the time of a version must not. */
function timed(events: readonly Recorded[], start: string): Fact[] {
  let time = start
  return events.map(event => {
    if (event.recordedAt > time) time = event.recordedAt
    return { event, time }
  })
}

async function alreadyParked(projection: Projection, facts: readonly Fact[], read: Read): Promise<Set<string>> {
  if (projection.onPoison === 'halt') return new Set()
  const rows = await read<{ stream: string }>({
    text: 'select stream from parked_stream where projection = $1 and stream = any($2)',
    values: [projection.name, [...new Set(facts.map(fact => fact.event.stream))]],
  })
  return new Set(rows.map(row => row.stream))
}

/** Starts over without a stream as often as one turns out to be poisoned: rare, and each time for good. */
async function applyHealthy(projection: Projection, facts: readonly Fact[], parked: Set<string>, read: Read) {
  const poisoned: ParkedStream[] = []
  for (;;) {
    const healthy = facts.filter(({ event }) => !parked.has(event.stream) || before(event, poisoned))
    try {
      return { ...(await projection.apply(healthy, read)), poisoned }
    } catch (error) {
      if (!(error instanceof PoisonEvent) || projection.onPoison === 'halt') throw error
      parked.add(error.event.stream)
      poisoned.push(park(projection, error))
    }
  }
}

/** What a stream said before its poisoned event still counts, however the log was cut into batches. */
function before(event: Recorded, poisoned: readonly ParkedStream[]): boolean {
  const parked = poisoned.find(each => each.stream === event.stream)
  return parked !== undefined && event.revision < BigInt(parked.revision)
}

export function park(projection: Projection, { event, message }: PoisonEvent): ParkedStream {
  return {
    projection: projection.name,
    stream: event.stream,
    revision: event.revision.toString(),
    commit: event.position.commit.toString(),
    prepare: event.position.prepare.toString(),
    eventId: event.id,
    type: event.type,
    error: message.slice(0, 500),
  }
}
