import type { Pipelined, Statement } from '../infra/postgres.ts'
import type { LogPosition, Recorded } from '../schemas/events.ts'
import { comparePositions } from '../schemas/position.ts'
import { type Checkpoint, moveCheckpoint, readCheckpoint } from './checkpoint.ts'
import { type Applied, type Apply, type Fact, PoisonEvent, type Projection, type Read } from './projection.ts'
import { type ParkedStream, parkedStream } from './schema.ts'
import { insertRows } from './table.ts'

export type Committed = { checkpoint: Checkpoint; events: number; runIds: string[]; parked: ParkedStream[] }

/** Where a projection stands and what it knows; no longer true once somebody else moves the checkpoint. */
export type Standing = {
  projection: Projection
  checkpoint: Checkpoint
  /** The streams that are left out. */
  parked: ReadonlySet<string>
  apply: Apply
}

export async function standing(db: Pipelined, projection: Projection): Promise<Standing> {
  // The checkpoint comes first: whoever moves it before the streams are read is found out when it is to be moved.
  const checkpoint = readCheckpoint(db, projection.name)
  const { rows } = await db.query<{ stream: string }>({
    text: 'select stream from parked_stream where projection = $1',
    values: [projection.name],
  })
  const parked = new Set(rows.map(row => row.stream))
  return { projection, checkpoint: await checkpoint, parked, apply: projection.begin() }
}

/**
 * Applies events and moves the checkpoint in one transaction, after one round trip for the rows that are not known yet.
 * A stream that is parked, or becomes so by a PoisonEvent, is left out; a projection that halts on poison throws it.
 */
export async function applyBatch(
  db: Pipelined,
  from: Standing,
  events: readonly Recorded[],
  reached?: LogPosition,
): Promise<{ committed: Committed; standing: Standing }> {
  const facts = timed(events, from.checkpoint.time)
  const position = latest(events.at(-1)?.position, reached)
  const checkpoint = { position, time: facts.at(-1)?.time ?? from.checkpoint.time }
  const move = moveCheckpoint(from.projection.name, from.checkpoint, checkpoint, events.length)
  const read: Read = async <Row>(statement: Statement) => (await db.query(statement)).rows as Row[]
  const { applied, poisoned, parked } = await applyHealthy(from, facts, read)
  const { statements, runIds, keep } = applied
  await db.batch([{ text: 'begin' }, move, ...statements, ...insertRows(parkedStream, poisoned), { text: 'commit' }])
  keep()
  const committed = { checkpoint, events: events.length, runIds, parked: poisoned }
  return { committed, standing: { ...from, checkpoint, parked } }
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

type Healthy = { applied: Applied; poisoned: ParkedStream[]; parked: ReadonlySet<string> }

/** Starts over without a stream as often as one turns out to be poisoned: rare, and each time for good. */
async function applyHealthy(from: Standing, facts: readonly Fact[], read: Read): Promise<Healthy> {
  const poisoned: ParkedStream[] = []
  let { parked } = from
  for (;;) {
    const healthy =
      parked.size === 0 ? facts : facts.filter(({ event }) => !parked.has(event.stream) || before(event, poisoned))
    try {
      return { applied: await from.apply(healthy, read), poisoned, parked }
    } catch (error) {
      if (!(error instanceof PoisonEvent) || from.projection.onPoison === 'halt') throw error
      parked = new Set([...parked, error.event.stream])
      poisoned.push(park(from.projection, error))
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
