import { type Bus, subscribeJson } from '../infra/bus.ts'
import { ProblemError } from '../infra/http/index.ts'
import { isUnavailable, type Pool } from '../infra/postgres.ts'
import { projected, subjects } from '../schemas/bus.ts'
import type { LogPosition } from '../schemas/events.ts'
import { comparePositions } from '../schemas/position.ts'

/** Runs one statement on the connection that answers a request. */
export type Query = <Row>(text: string, values?: unknown[]) => Promise<Row[]>
export type ProjectionName = 'state' | 'audit'
export type Waiting = { atLeast: LogPosition; waitMs: number }

/** The read models had not reached the wanted position in time. */
export class NotYet {
  readonly position: LogPosition
  constructor(position: LogPosition) {
    this.position = position
  }
}

const START: LogPosition = { commit: -1n, prepare: -1n }
const POLL_MS = 50

/** Reads the read models and says up to which position of the log an answer is complete. */
export class Reader {
  readonly #pool: Pool
  readonly #wake = new Set<(runIds: readonly string[]) => void>()

  constructor(pool: Pool, bus: Bus) {
    this.#pool = pool
    subscribeJson(bus, subjects.projected, projected, ({ runIds = [] }) => {
      for (const wake of [...this.#wake]) wake(runIds)
    })
  }

  /** Calls back whenever projections have moved: a hint, which may be lost. Returns how to stop. */
  onProjected(listener: (runIds: readonly string[]) => void): () => void {
    this.#wake.add(listener)
    return () => this.#wake.delete(listener)
  }

  /**
   * Reads on one connection. The position is read before the rows, so the rows are never older than it says.
   * Waits for a position first when one is wanted. Throws ProblemError read-model-unavailable.
   */
  async read<T>(
    projection: ProjectionName,
    waiting: Waiting | undefined,
    work: (query: Query) => Promise<T>,
  ): Promise<{ position: LogPosition; result: T } | NotYet> {
    const reached = waiting ? await this.#reach(projection, waiting) : undefined
    if (reached && waiting && comparePositions(reached, waiting.atLeast) < 0) return new NotYet(reached)
    return await this.#onConnection(async query => {
      const position = await positionOf(query, projection)
      return { position, result: await work(query) }
    })
  }

  /** Runs statements without asking for the position. */
  async query<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
    return await this.#onConnection(query => query<Row>(text, values))
  }

  async #reach(projection: ProjectionName, { atLeast, waitMs }: Waiting): Promise<LogPosition> {
    const deadline = Date.now() + waitMs
    for (;;) {
      // Listening begins before looking, so that no hint falls in between.
      const hint = this.hint(Math.min(POLL_MS, Math.max(0, deadline - Date.now())))
      const reached = await this.#onConnection(query => positionOf(query, projection))
      if (comparePositions(reached, atLeast) >= 0 || Date.now() >= deadline) return reached
      await hint
    }
  }

  /** Resolves at the next hint, or after the time, because a hint may be lost. */
  hint(ms: number): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        stop()
        resolve()
      }
      const stop = this.onProjected(done)
      const timer = setTimeout(done, ms)
    })
  }

  async #onConnection<T>(work: (query: Query) => Promise<T>): Promise<T> {
    try {
      const connection = await this.#pool.connect()
      try {
        return await work(async <Row>(text: string, values: unknown[] = []) => {
          const { rows } = await connection.query(text, values)
          return rows as Row[]
        })
      } finally {
        connection.release()
      }
    } catch (error) {
      if (isUnavailable(error) || isMissing(error)) throw new ProblemError('read-model-unavailable')
      throw error
    }
  }
}

async function positionOf(query: Query, projection: ProjectionName): Promise<LogPosition> {
  const [row] = await query<{ commit: string; prepare: string }>(
    'select commit, prepare from read_model.checkpoint where projection = $1',
    [projection],
  )
  return row ? { commit: BigInt(row.commit), prepare: BigInt(row.prepare) } : START
}

/** Undefined table or schema: no projector has ever run. */
const isMissing = (error: unknown) =>
  error instanceof Error && 'code' in error && (error.code === '42P01' || error.code === '3F000')
