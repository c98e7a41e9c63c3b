import { randomUUID } from 'node:crypto'
import { type ProposedEvent, sizeOf } from '../wire/proposed-event.ts'
import { encodeRecorded } from '../wire/recorded-event.ts'
import { decideAppend, type Expected, exists } from './decide.ts'
import { GroupCommit } from './group-commit.ts'
import type { State, StreamHead } from './state.ts'
import { isMetastream, isSoftDeleted, metastreamOf, originalOf, truncatedMetadata } from './stream-metadata.ts'
import { seal } from './tables.ts'

/** Largest append, in bytes as `sizeOf` counts them (EventStoreDB's default MaxAppendSize). */
export const MAX_APPEND_SIZE = 2 ** 20

/** What became of an append or delete. `position` is undefined when no event was written. */
export type Outcome =
  | { kind: 'done'; revision: number; position: number | undefined }
  | { kind: 'wrong-version'; current: number }
  | { kind: 'deleted' }
  | { kind: 'too-large' }

const EMPTY = Buffer.alloc(0)
/** Revision EventStoreDB gives a tombstone, bounded to what a JavaScript number holds. */
const TOMBSTONE_REVISION = Number.MAX_SAFE_INTEGER

/**
 * The write side of the store. Decisions are taken at once, in order, on the state that includes what is still on its
 * way to disk; every outcome is delivered only after all it rests on is durable. Rejects with DiskFull and StoreClosed.
 */
export class EventStore {
  readonly state: State
  readonly commits: GroupCommit

  constructor(state: State, onFatal: (error: unknown) => void) {
    this.state = state
    this.commits = new GroupCommit(state, onFatal)
  }

  async append(stream: string, expected: Expected, events: ProposedEvent[]): Promise<Outcome> {
    const { state } = this
    this.commits.refuseIfClosed()
    if (events.reduce((size, event) => size + sizeOf(event), 0) > MAX_APPEND_SIZE) return { kind: 'too-large' }
    const head = state.head(stream)
    const decision = decideAppend(
      state,
      head,
      expected,
      events.map(event => event.id),
    )
    switch (decision.kind) {
      case 'deleted':
        return this.commits.afterDurable({ kind: 'deleted' })
      case 'wrong-version':
        return this.commits.afterDurable({ kind: 'wrong-version', current: head.last })
      case 'repeat':
        return this.commits.afterDurable({ kind: 'done', revision: decision.revision, position: decision.position })
      case 'append':
        this.#recreateSoftDeleted(head)
        return this.commits.afterDurable({ kind: 'done', ...this.#stage(head, events) })
    }
  }

  /** Soft delete: hides the events so far; the stream can be written again. */
  async softDelete(stream: string, expected: Expected): Promise<Outcome> {
    this.commits.refuseIfClosed()
    const head = this.state.head(stream)
    const refusal = this.#refuseDelete(head, expected)
    if (refusal) return this.commits.afterDurable(refusal)
    if (expected === 'no_stream' && !exists(this.state, head)) {
      return this.commits.afterDurable({ kind: 'wrong-version', current: -1 })
    }
    const metadata = truncatedMetadata(this.state.metadata(stream), 'deleted')
    const metastream = this.state.head(metastreamOf(stream))
    return this.commits.afterDurable({ kind: 'done', ...this.#stage(metastream, [metadataEvent(metadata)]) })
  }

  /** Hard delete: the stream can never be written or read again. */
  async tombstone(stream: string, expected: Expected): Promise<Outcome> {
    this.commits.refuseIfClosed()
    const head = this.state.head(stream)
    const refusal = this.#refuseDelete(head, expected)
    if (refusal) return this.commits.afterDurable(refusal)
    const event = { id: randomUUID(), type: '$streamDeleted', contentType: 'application/octet-stream' }
    const position = this.#write(head, { ...event, metadata: EMPTY, data: EMPTY }, TOMBSTONE_REVISION, now())
    head.tombstoned = true
    this.commits.stageRow(stream, { number: head.number, tombstone: position })
    return this.commits.afterDurable({ kind: 'done', revision: TOMBSTONE_REVISION, position })
  }

  #refuseDelete(head: StreamHead, expected: Expected): Outcome | undefined {
    if (head.tombstoned) return { kind: 'deleted' }
    if (expected === 'any') return undefined
    const isExpected =
      expected === 'stream_exists' ? exists(this.state, head) : head.last === (expected === 'no_stream' ? -1 : expected)
    return isExpected ? undefined : { kind: 'wrong-version', current: head.last }
  }

  #recreateSoftDeleted(head: StreamHead): void {
    const metadata = this.state.metadata(head.name)
    if (!isSoftDeleted(metadata)) return
    const reopened = metadataEvent(truncatedMetadata(metadata, head.last + 1))
    this.#stage(this.state.head(metastreamOf(head.name)), [reopened])
  }

  #stage(head: StreamHead, events: ProposedEvent[]): { revision: number; position: number | undefined } {
    if (events.length > 0 && head.number === 0) {
      head.number = this.state.nextStreamNumber++
      this.commits.stageRow(head.name, { number: head.number })
    }
    const created = now()
    let position: number | undefined
    for (const event of events) {
      const revision = head.last + 1
      position = this.#write(head, event, revision, created)
      head.last = revision
      this.state.recentIds.remember(event.id, { stream: head.name, revision, position })
    }
    if (isMetastream(head.name)) this.state.forgetMetadata(originalOf(head.name))
    return { revision: head.last, position }
  }

  #write(head: StreamHead, event: ProposedEvent, revision: number, created: string): number {
    const position = this.state.end
    const wire = encodeRecorded(event, { stream: head.nameBytes, revision, position, created })
    const sealed = seal(wire)
    this.state.end = position + sealed.length
    this.state.addPending(head, revision, position, wire)
    this.commits.stageEvent({ head, revision, position, sealed, indexed: revision !== TOMBSTONE_REVISION })
    return position
  }
}

const metadataEvent = (data: Buffer): ProposedEvent => ({
  id: randomUUID(),
  type: '$metadata',
  contentType: 'application/json',
  metadata: EMPTY,
  data,
})

/** Now in ticks of 100 ns since 1970. */
const now = () => `${Date.now()}0000`
