import { type Bus, subscribeJson } from '../../infra/bus.ts'
import { type LiveOutput, liveOutput, subjects } from '../../schemas/bus.ts'
import { runEndings } from '../../schemas/run.ts'
import { positionOf } from '../audit-row.ts'
import { type ChunkRow, chunkColumns, chunkView } from '../output-chunk.ts'
import type { Reader } from '../reader.ts'
import type { EventStream, ServerEvent } from './event-stream.ts'
import { formatCursor, type RunCursor } from './run-cursor.ts'
import { Wake } from './wake.ts'

type LiveChunk = LiveOutput['chunks'][number]
type RunEventRow = { commit: string; prepare: string; type: string; n: number | null; at: string; data: unknown }

const EVENTS_AT_ONCE = 500
const CHUNKS_AT_ONCE = 64
const MAX_WAITING_CHUNKS = 2_000
/** Hints get lost when the broker is away: then it is this long until they are missed. */
const LOOK_AGAIN_MS = 1_000
/**
 * Sends a run as it happens: its events as they are projected, its output as it is stored. Subscribes first and reads
 * what there is afterwards; live chunks that follow the last one sent are passed on at once, and whenever one is
 * missing in between, it is read from where it is stored. So each event and each chunk is sent once and in order.
 */
export class RunStream {
  readonly #runId: string
  readonly #reader: Reader
  readonly #bus: Bus
  readonly #client: EventStream
  readonly #wake = new Wake()
  #cursor: RunCursor
  #waiting: LiveChunk[] = []
  #readOutput = true
  #readEvents = true

  constructor(options: { runId: string; reader: Reader; bus: Bus; client: EventStream; from: RunCursor }) {
    this.#runId = options.runId
    this.#reader = options.reader
    this.#bus = options.bus
    this.#client = options.client
    this.#cursor = options.from
    this.#client.passed(formatCursor(options.from))
  }

  /** Resolves when the run and its output have been sent to the end, or the client is gone. */
  async run(): Promise<void> {
    const live = subscribeJson(this.#bus, subjects.live(this.#runId), liveOutput, message => this.#heard(message))
    const forget = this.#reader.onProjected(runIds => {
      if (!runIds.includes(this.#runId)) return
      this.#readEvents = true
      this.#wake.up()
    })
    try {
      // Only once the broker has taken in the subscription does reading what there is miss nothing.
      await this.#bus.flush().catch(() => undefined)
      if (await this.#isAlreadyAtTheEnd()) this.#client.end('the run has ended')
      while (!this.#client.over.aborted) {
        if (await this.#sendNews()) this.#client.end('the run has ended')
        const before = Date.now()
        await this.#wake.wait(LOOK_AGAIN_MS, this.#client.over)
        if (Date.now() - before >= LOOK_AGAIN_MS) {
          this.#readEvents = true
          this.#readOutput = true
        }
      }
    } finally {
      live.unsubscribe()
      forget()
    }
  }

  /** A reader that comes back after the end has nothing to wait for but output it has not seen. */
  async #isAlreadyAtTheEnd(): Promise<boolean> {
    const { commit, prepare } = this.#cursor.position
    const over = await this.#reader.query(
      `select 1 from read_model.run_event
       where run_id = $1 and type = any($2) and (commit, prepare) <= ($3::bigint, $4::bigint) limit 1`,
      [this.#runId, Object.keys(runEndings), commit, prepare],
    )
    if (over.length > 0) await this.#sendStored()
    return over.length > 0
  }

  #heard({ chunks }: LiveOutput): void {
    this.#waiting.push(...chunks)
    // A client that reads slowly gets it from the database later.
    if (this.#waiting.length > MAX_WAITING_CHUNKS) {
      this.#waiting = []
      this.#readOutput = true
    }
    this.#wake.up()
  }

  /** Sends what has come; true when that was the end of the run. */
  async #sendNews(): Promise<boolean> {
    await this.#sendLive()
    if (this.#readOutput) await this.#sendStored()
    if (!this.#readEvents) return false
    this.#readEvents = false
    return await this.#sendEvents()
  }

  async #sendLive(): Promise<void> {
    const chunks = this.#waiting.splice(0).sort((a, b) => Number(BigInt(a.outputSeq) - BigInt(b.outputSeq)))
    const next: LiveChunk[] = []
    let expected = this.#cursor.output + 1n
    for (const chunk of chunks) {
      const seq = BigInt(chunk.outputSeq)
      if (seq < expected) continue
      if (seq > expected) {
        this.#readOutput = true
        break
      }
      next.push(chunk)
      expected += 1n
    }
    await this.#sendChunks(next.map(({ runId: _, epoch: __, ...chunk }) => chunk))
  }

  async #sendStored(): Promise<void> {
    this.#readOutput = false
    for (;;) {
      const rows = await this.#reader.query<ChunkRow>(
        `select ${chunkColumns} from output.run_output where run_id = $1 and output_seq > $2
         order by output_seq limit ${CHUNKS_AT_ONCE}`,
        [this.#runId, this.#cursor.output],
      )
      if (!(await this.#sendChunks(rows.map(chunkView))) || rows.length < CHUNKS_AT_ONCE) return
    }
  }

  async #sendChunks(chunks: ReadonlyArray<ReturnType<typeof chunkView>>): Promise<boolean> {
    const last = chunks.at(-1)
    if (!last) return true
    this.#cursor = { ...this.#cursor, output: BigInt(last.outputSeq) }
    return await this.#client.send([{ id: formatCursor(this.#cursor), event: 'output', data: { chunks } }])
  }

  async #sendEvents(): Promise<boolean> {
    for (;;) {
      const { commit, prepare } = this.#cursor.position
      const rows = await this.#reader.query<RunEventRow>(
        `select commit, prepare, type, n, at, data from read_model.run_event
         where run_id = $1 and (commit, prepare) > ($2::bigint, $3::bigint)
         order by commit, prepare limit ${EVENTS_AT_ONCE}`,
        [this.#runId, commit, prepare],
      )
      const isOver = rows.some(row => row.type in runEndings)
      // Whatever was printed comes before the word that the run has ended.
      if (isOver) await this.#sendStored()
      if (!(await this.#client.send(rows.map(row => this.#event(row)))) || isOver) return isOver
      if (rows.length < EVENTS_AT_ONCE) return false
    }
  }

  #event(row: RunEventRow): ServerEvent {
    const position = positionOf(row)
    this.#cursor = { ...this.#cursor, position }
    const { type, n, at, data } = row
    return { id: formatCursor(this.#cursor), event: 'event', data: { position: row.commit, type, n, at, data } }
  }
}
