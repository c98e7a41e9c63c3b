import type { Statement } from '../infra/postgres.ts'
import type { Recorded } from '../schemas/events.ts'

/** An event and its time in the log: when it was recorded, made never to run backwards. */
export type Fact = { event: Recorded; time: string }

/** What a batch comes to: statements to run in its transaction, and the runs whose rows it touched. */
export type Applied = {
  statements: Statement[]
  runIds: string[]
  /** To be called once the statements are committed: the next batch goes on from these rows without reading them. */
  keep(): void
}

/**
 * Reads the projection's own tables; several reads at once cost one round trip. No transaction is needed: whoever
 * changes a row moves the checkpoint, and then nothing of the batch is written.
 */
export type Read = <Row>(statement: Statement) => Promise<Row[]>

/** Throws PoisonEvent for an event that can never be applied. */
export type Apply = (facts: readonly Fact[], read: Read) => Promise<Applied>

/**
 * Turns events into rows: no clock, no randomness, no sequence, no tables of others, so that the rows depend on the
 * log alone and not on how it was cut into batches.
 */
export interface Projection {
  readonly name: 'state' | 'audit'
  /** What an event that cannot be applied does: its stream is set aside, or everything stops and says so. */
  readonly onPoison: 'park' | 'halt'
  /** Begins at a checkpoint, knowing nothing; what it comes to know holds while nobody else moves the checkpoint. */
  begin(): Apply
}

/** This event, not the database, is why the batch failed. */
export class PoisonEvent extends Error {
  override name = 'PoisonEvent'
  readonly event: Recorded
  constructor(event: Recorded, cause: unknown) {
    super(`${event.type} ${event.stream}@${event.revision}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    })
    this.event = event
  }
}
