import type { Pipelined, Statement } from '../infra/postgres.ts'
import type { LogPosition } from '../schemas/events.ts'

/** How far a projection is: everything up to the position is in its rows. */
export type Checkpoint = {
  /** Undefined before the first event. */
  position: LogPosition | undefined
  /** The log time reached. */
  time: string
}

type Row = { commit: string; prepare: string; time: string }
const START: LogPosition = { commit: -1n, prepare: -1n }
const BEGINNING_OF_TIME = '0001-01-01T00:00:00.000Z'

export async function readCheckpoint(db: Pipelined, projection: string): Promise<Checkpoint> {
  const { rows } = await db.query<Row>({
    text: `select commit, prepare, case when commit < 0 then null else time end as time
           from checkpoint where projection = $1`,
    values: [projection],
  })
  const [row] = rows
  if (!row || BigInt(row.commit) < 0n) return { position: undefined, time: BEGINNING_OF_TIME }
  return { position: { commit: BigInt(row.commit), prepare: BigInt(row.prepare) }, time: row.time }
}

/** Fails the transaction when the checkpoint is not where it was read: another projector was faster. */
export function moveCheckpoint(projection: string, from: Checkpoint, to: Checkpoint, events: number): Statement {
  const [old, next] = [from.position ?? START, to.position ?? START]
  return {
    text: 'select move_checkpoint($1, $2, $3, $4, $5, $6, $7)',
    values: [projection, old.commit, old.prepare, next.commit, next.prepare, to.time, events],
  }
}
