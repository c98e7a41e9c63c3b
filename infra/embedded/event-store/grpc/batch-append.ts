import streams from '@eventstore/db-client/generated/streams_pb.js'
import { status } from '@grpc/grpc-js'
import type { Expected } from '../store/decide.ts'
import { type EventStore, MAX_APPEND_SIZE, type Outcome } from '../store/event-store.ts'
import { type BatchPart, encodeBatchSuccess } from '../wire/messages.ts'
import { type ProposedEvent, sizeOf } from '../wire/proposed-event.ts'
import { batchFailure, emptySuccess } from './batch-replies.ts'
import { grpcError, toServiceError } from './errors.ts'
import { expectedRevision, streamName } from './options.ts'
import type { BatchAppendCall } from './services.ts'

/** One append of a batch stream, from its first part until its answer. */
type Pending = {
  stream: string
  expected: Expected
  deadline: number
  events: ProposedEvent[]
  size: number
  isComplete: boolean
}

type Answer = Outcome | { kind: 'timeout' }

const MAX_OPEN = 10_000
const MAX_OPEN_BYTES = 64 * 2 ** 20
const MAX_STAGED_BYTES = 32 * 2 ** 20
const DEADLINE_CHECK_MS = 50

/**
 * Serves one BatchAppend stream. Each correlation id is answered exactly once (the client throws on a second answer):
 * with the outcome, or with Timeout when its deadline passes first, in which case the outcome is unknown to the client.
 * An error that concerns all appends, such as a full disk, ends the stream; the client fails all that is open on it.
 */
export class BatchAppendSession {
  readonly #call: BatchAppendCall
  readonly #store: EventStore
  readonly #open = new Map<string, Pending>()
  readonly #timer: NodeJS.Timeout
  #openBytes = 0
  #pauses = 0
  #ended = false

  constructor(call: BatchAppendCall, store: EventStore) {
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
      if (pending && !pending.isComplete) this.#take(part, pending)
    } catch (error) {
      this.#fail(error)
    }
  }

  // A part without options continues an append that was already answered: late, and of no interest.
  #begin(part: BatchPart): Pending | undefined {
    if (!part.options) return undefined
    if (this.#open.size >= MAX_OPEN || this.#openBytes >= MAX_OPEN_BYTES) {
      throw grpcError(status.RESOURCE_EXHAUSTED, 'Too many appends are open on one stream.')
    }
    const options = streams.BatchAppendReq.Options.deserializeBinary(part.options)
    const pending: Pending = {
      stream: streamName(options.getStreamIdentifier()),
      expected: expectedRevision(options, () => options.getStreamPosition()),
      deadline: deadlineOf(options),
      events: [],
      size: 0,
      isComplete: false,
    }
    this.#open.set(part.correlationId, pending)
    return pending
  }

  #take(part: BatchPart, pending: Pending): void {
    const size = part.events.reduce((sum, event) => sum + sizeOf(event), 0)
    pending.size += size
    this.#openBytes += size
    if (pending.size > MAX_APPEND_SIZE) {
      this.#reply(part.correlationId, { kind: 'too-large' })
      return
    }
    pending.events.push(...part.events)
    if (part.isFinal) this.#append(part.correlationId, pending)
  }

  #append(correlationId: string, pending: Pending): void {
    pending.isComplete = true
    if (pending.deadline <= Date.now()) {
      this.#reply(correlationId, { kind: 'timeout' })
      return
    }
    this.#store.append(pending.stream, pending.expected, pending.events).then(
      outcome => this.#reply(correlationId, outcome),
      error => this.#fail(error),
    )
    const { commits } = this.#store
    if (commits.stagedBytes > MAX_STAGED_BYTES) this.#pauseUntil(resume => commits.onceSettled(resume))
  }

  #reply(correlationId: string, answer: Answer): void {
    const pending = this.#open.get(correlationId)
    if (!pending) return
    this.#open.delete(correlationId)
    this.#openBytes -= pending.size
    if (!this.#call.cancelled) this.#write(encodeAnswer(correlationId, pending, answer))
    if (this.#ended) this.#finish()
  }

  // A client that does not read its answers is not listened to either.
  #write(answer: Buffer): void {
    if (this.#call.write(answer) || this.#call.listenerCount('drain') > 0) return
    this.#pauseUntil(resume => this.#call.once('drain', resume))
  }

  // `subscribe` calls back once; there may be several reasons to wait at a time.
  #pauseUntil(subscribe: (resume: () => void) => unknown): void {
    if (this.#pauses++ === 0) this.#call.pause()
    subscribe(() => {
      if (--this.#pauses === 0) this.#call.resume()
    })
  }

  #answerExpired(): void {
    const now = Date.now()
    for (const [correlationId, { deadline }] of this.#open) {
      if (deadline <= now) this.#reply(correlationId, { kind: 'timeout' })
    }
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

function encodeAnswer(correlationId: string, pending: Pending, answer: Answer): Buffer {
  if (answer.kind !== 'done') return batchFailure(correlationId, pending.stream, pending.expected, answer)
  if (answer.position === undefined) return emptySuccess(correlationId, pending.stream, answer.revision)
  return encodeBatchSuccess(correlationId, pending.stream, answer.revision, answer.position)
}

// The deadline is a point in time; servers before 21.10 had a duration in its place, which the client no longer sends.
function deadlineOf(options: streams.BatchAppendReq.Options): number {
  const deadline = options.getDeadline()
  if (!deadline) return Number.POSITIVE_INFINITY
  return deadline.getSeconds() * 1000 + deadline.getNanos() / 1e6
}
