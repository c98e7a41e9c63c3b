import { isUnavailable, type Pipelined } from '../infra/postgres.ts'
import type { LogPosition, Recorded } from '../schemas/events.ts'
import { applyBatch, type Committed, park, type Standing, standing } from './apply.ts'
import { type Checkpoint, moveCheckpoint } from './checkpoint.ts'
import { PoisonEvent, type Projection } from './projection.ts'
import { FENCED, parkedStream } from './schema.ts'
import { insertRows } from './table.ts'

/** Somebody else moved the checkpoint: read it again and go on from there. */
export class Fenced extends Error {
  override name = 'Fenced'
}

/** One projection on one connection, with the checkpoint it is at. */
export class Applier {
  readonly projection: Projection
  readonly #db: Pipelined
  #standing: Standing | undefined

  constructor(projection: Projection, db: Pipelined) {
    this.projection = projection
    this.#db = db
  }

  /** Reads the checkpoint: after a start, and after anything that failed. */
  async load(): Promise<Checkpoint> {
    return (await this.#load()).checkpoint
  }

  async #load(): Promise<Standing> {
    this.#standing = await standing(this.#db, this.projection)
    return this.#standing
  }

  /**
   * Applies what comes next in the log; `position` is how far nothing is missing. Throws Fenced, PoisonEvent (only of a
   * projection that halts on it), and what the database threw when it is not reachable.
   */
  async apply(events: readonly Recorded[], position?: LogPosition): Promise<Committed> {
    const from = this.#standing ?? (await this.#load())
    try {
      const applied = await applyBatch(this.#db, from, events, position)
      this.#standing = applied.standing
      return applied.committed
    } catch (error) {
      await this.#forget()
      if (isFenced(error)) throw new Fenced(`another ${this.projection.name} projector is at work`)
      if (isUnavailable(error) || error instanceof PoisonEvent || events.length === 0) throw error
      return await this.#oneByOne(events, position, error)
    }
  }

  /** The database refused something in the batch: find out what, and blame it on that event alone. */
  async #oneByOne(events: readonly Recorded[], position: LogPosition | undefined, cause: unknown): Promise<Committed> {
    const [event] = events
    if (event && events.length === 1) return await this.#poisoned(new PoisonEvent(event, cause), position)
    const total: Committed = { checkpoint: await this.load(), events: 0, runIds: [], parked: [] }
    for (const [i, one] of events.entries()) {
      const last = i === events.length - 1
      const { checkpoint, runIds, parked } = await this.apply([one], last ? position : undefined)
      total.checkpoint = checkpoint
      total.events += 1
      total.runIds.push(...runIds)
      total.parked.push(...parked)
    }
    return total
  }

  async #poisoned(poison: PoisonEvent, position: LogPosition = poison.event.position): Promise<Committed> {
    const { projection } = this
    if (projection.onPoison === 'halt') throw poison
    const { checkpoint: from } = await this.#load()
    const { recordedAt } = poison.event
    const checkpoint = { position, time: recordedAt > from.time ? recordedAt : from.time }
    const parked = [park(projection, poison)]
    const move = moveCheckpoint(projection.name, from, checkpoint, 1)
    await this.#db.batch([{ text: 'begin' }, move, ...insertRows(parkedStream, parked), { text: 'commit' }])
    this.#standing = undefined
    return { checkpoint, events: 1, runIds: [], parked }
  }

  /** Says for `status` why this projection stands still; null when it no longer does. */
  async halted(why: string | null): Promise<void> {
    const values = [this.projection.name, why]
    await this.#db.query({ text: 'update checkpoint set halted_by = $2 where projection = $1', values })
  }

  async #forget(): Promise<void> {
    this.#standing = undefined
    await this.#db.query({ text: 'rollback' }).catch(() => this.#db.reset())
  }
}

const isFenced = (error: unknown) => error instanceof Error && 'code' in error && error.code === FENCED
