import streams from '@eventstore/db-client/generated/streams_pb.js'
import { type ServerDuplexStream, status } from '@grpc/grpc-js'
import type { Expected } from '../store/decide.ts'
import { type EventStore, MAX_APPEND_SIZE, type Outcome } from '../store/event-store.ts'
import { type BatchPart, encodeBatchSuccess } from '../wire/messages.ts'
import { type ProposedEvent, sizeOf } from '../wire/proposed-event.ts'
import { batchFailure, emptySuccess } from './batch-replies.ts'
import { grpcError, toServiceError } from './errors.ts'
import { boundedNumber, expectedRevision, streamName } from './options.ts'

export type BatchCall = ServerDuplexStream<BatchPart, Buffer>

/** One append of a batch stream, from its first part until its answer. */
type Pending = { stream: string; expected: Expected; deadline: number; events: ProposedEvent[]; size: number }

const MAX_OPEN = 10_000
const MAX_STAGED_BYTES = 32 * 2 ** 20
const DEADLINE_CHECK_MS = 50

/**
 * Serves one BatchAppend stream. Each correlation id is answered exactly once (the client throws on a second answer):
 * with the outcome, or with Timeout when its deadline passes first, in which case the outcome is unknown to the client.
 * An error that concerns all appends, such as a full disk, ends the stream; the client fails all that is open on it.
 */
export class BatchAppendSession {
  readonly #call: BatchCall
  readonly #store: EventStore
  readonly #open = new Map<string, Pending>()
  readonly #timer: NodeJS.Timeout
  #ended = false

  constructor(call: BatchCall, store: EventStore) {
    this.#call = call
    this.#store = store
    this.#timer = setInterval(() => this.#answerExpired(), DEADLINE_CHECK_MS).unref()
    call.on('data', (part: BatchPart) => this.#receive(part))
    call.on('end', () => this.#finish())
    for (const event of ['error', 'cancelled', 'close']) call.on(event, () => this.#stop())
  }

  #receive(part: BatchPart): void {
    try {
      const pending = this.#open.get(part.correlationId) ?? this.#begin(part)
      if (!pending) return
      for (const event of part.events) {
        pending.size += sizeOf(event)
        if (pending.size <= MAX_APPEND_SIZE) pending.events.push(event)
      }
      if (pending.size > MAX_APPEND_SIZE) this.#reply(part.correlationId, { kind: 'too-large' })
      else if (part.isFinal) this.#append(part.correlationId, pending)
    } catch (error) {
      this.#fail(error)
    }
  }

  // A part without options continues an append that was already answered: late, and of no interest.
  #begin(part: BatchPart): Pending | undefined {
    if (!part.options) return undefined
    if (this.#open.size >= MAX_OPEN)
      throw grpcError(status.RESOURCE_EXHAUSTED, 'Too many appends are open on one stream.')
    const options = streams.BatchAppendReq.Options.deserializeBinary(part.options)
    const pending = {
      stream: streamName(options.getStreamIdentifier()),
      expected: expectedRevision(options, () => options.getStreamPosition()),
      deadline: deadlineOf(options),
      events: [],
      size: 0,
    }
    this.#open.set(part.correlationId, pending)
    return pending
  }

  #append(correlationId: string, pending: Pending): void {
    if (pending.deadline <= Date.now()) {
      this.#reply(correlationId, { kind: 'timeout' })
      return
    }
    this.#store.append(pending.stream, pending.expected, pending.events).then(
      outcome => this.#reply(correlationId, outcome),
      error => this.#fail(error),
    )
    if (this.#store.commits.stagedBytes > MAX_STAGED_BYTES) this.#pauseUntilDurable()
  }

  #reply(correlationId: string, outcome: Outcome | { kind: 'timeout' }): void {
    const pending = this.#open.get(correlationId)
    if (!pending) return
    this.#open.delete(correlationId)
    if (!this.#call.cancelled) this.#call.write(encodeReply(correlationId, pending, outcome))
    if (this.#ended) this.#finish()
  }

  #answerExpired(): void {
    const now = Date.now()
    for (const [correlationId, { deadline }] of this.#open) {
      if (deadline <= now) this.#reply(correlationId, { kind: 'timeout' })
    }
  }

  #pauseUntilDurable(): void {
    this.#call.pause()
    const stop = this.#store.commits.onDurable(() => {
      stop()
      this.#call.resume()
    })
  }

  #fail(error: unknown): void {
    if (this.#stop()) this.#call.emit('error', toServiceError(error))
  }

  #finish(): void {
    this.#ended = true
    if (this.#open.size > 0) return
    this.#stop()
    this.#call.end()
  }

  #stop(): boolean {
    clearInterval(this.#timer)
    const wasOpen = this.#open.size > 0 || !this.#ended
    this.#open.clear()
    this.#ended = true
    return wasOpen
  }
}

function encodeReply(correlationId: string, pending: Pending, outcome: Outcome | { kind: 'timeout' }): Buffer {
  if (outcome.kind !== 'done') return batchFailure(correlationId, pending.stream, pending.expected, outcome)
  if (outcome.position === undefined) return emptySuccess(correlationId, pending.stream, outcome.revision)
  return encodeBatchSuccess(correlationId, pending.stream, outcome.revision, outcome.position)
}

// `deadline` is google.protobuf.Timestamp in the client's message; `deadline_21_10_0` is the relative form of old servers.
function deadlineOf(options: streams.BatchAppendReq.Options): number {
  const deadline = options.getDeadline()
  if (!deadline) return Number.POSITIVE_INFINITY
  return boundedNumber(String(deadline.getSeconds())) * 1000 + deadline.getNanos() / 1e6
}
