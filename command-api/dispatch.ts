import { type Clock, systemClock } from '../infra/clock.ts'
import {
  AppendTooLarge,
  type EventStore,
  type NewEvent,
  SecretInEvent,
  WrongRevision,
} from '../infra/event-store/port.ts'
import { eventId } from '../infra/ids.ts'
import type { AnyEvent, LogPosition, Recorded } from '../schemas/events.ts'
import type { Meta } from '../schemas/kernel.ts'
import { formatPosition } from '../schemas/position.ts'
import { ProblemError } from '../schemas/problems.ts'
import type { EventRef, Folded, StateCache } from './dispatch/state-cache.ts'
import type { Decider, Message } from './domain/decider.ts'
import { type CommandOf, type DeciderName, deciders, type FactsOf, type StateOf } from './domain/index.ts'
import { withPatience } from './patience.ts'

/** What a command came to. No events: everything was already as it asked for. Revision and position are numbers as text. */
export type Answer = {
  commandId: string
  stream: string
  revision: string
  position: string
  events: Array<{ id: string; type: string; revision: string }>
}

export type DispatchOptions<N extends DeciderName> = {
  meta: Meta
  /** What the decision needs to know beside the stream; a function is asked anew for every attempt. */
  facts: FactsOf<N> | ((state: StateOf<N>) => Promise<FactsOf<N>>)
  /** Throws where this may not be done to what is there; asked before anything is said about it. */
  authorise?: ((state: StateOf<N>) => Promise<void>) | undefined
  /** Decide only on exactly this revision (If-Match), whatever happens meanwhile. */
  expected?: bigint | undefined
  /** The stream's id was minted just now: it is not read before the first attempt. */
  isNew?: boolean
}

export interface Dispatcher {
  /**
   * Loads, folds, decides, appends. A command id whose events are already in the stream is answered from them, and
   * nothing is appended.
   * Throws DomainError, ProblemError (conflict, precondition-failed, secret-in-payload, body-too-large),
   * EventStoreUnavailable; after the last, whether the events were appended is not known.
   */
  dispatch<N extends DeciderName>(name: N, command: CommandOf<N>, options: DispatchOptions<N>): Promise<Answer>
  /** The state of a stream as it is in the log now. */
  load<N extends DeciderName>(name: N, stream: string): Promise<{ state: StateOf<N>; revision: bigint | 'none' }>
}

export type DispatcherDeps = {
  store: EventStore
  clock?: Clock
  cache?: StateCache
  /** Told what was appended, in the order of each stream. */
  appended?: (events: readonly Recorded[]) => void
}

const MAX_ATTEMPTS = 3

/** Deciders with their types erased: the pairing of state, command, event and facts is checked in `Dispatcher`. */
type AnyDecider = Decider<unknown, Message, AnyEvent, unknown>
type Work = {
  decider: AnyDecider
  command: Message
  stream: string
  meta: Meta
  facts: unknown
  authorise: ((state: unknown) => Promise<void>) | undefined
  expected: bigint | undefined
  isNew: boolean
}

export function createDispatcher({ store, clock = systemClock, cache, appended }: DispatcherDeps): Dispatcher {
  const oneAtATime = createQueues()
  const kernel: Kernel = { store, clock, cache, appended }
  return {
    dispatch(name, command, { meta, facts, authorise, expected, isNew = false }) {
      const decider = deciders[name] as unknown as AnyDecider
      const stream = decider.streamOf(command.data)
      const asked = authorise as Work['authorise']
      const work: Work = { decider, command, stream, meta, facts, authorise: asked, expected, isNew }
      return oneAtATime(stream, () => attempt(kernel, work))
    },
    async load(name, stream) {
      const decider = deciders[name] as unknown as AnyDecider
      const { state, revision } = await read(kernel, decider, stream)
      return { state: state as StateOf<typeof name>, revision }
    },
  }
}

type Kernel = { store: EventStore; clock: Clock; cache: StateCache | undefined; appended: DispatcherDeps['appended'] }

async function attempt(kernel: Kernel, work: Work): Promise<Answer> {
  let cached = kernel.cache?.get(work.stream) ?? (work.isNew ? nothing(work.decider) : undefined)
  for (let lost = 0; ; ) {
    const folded = cached ?? (await read(kernel, work.decider, work.stream))
    const own = folded.byCommand.get(work.meta.commandId)
    if (own) return answer(kernel, work, own)
    const decided = await decide(work, folded).catch(rejectUnless(cached !== undefined))
    if (decided && decided.length === 0 && !cached) return unchanged(kernel, work, folded)
    if (decided && decided.length > 0) {
      const appended = await append(kernel, work, folded, decided)
      if (appended) return appended
      // Losing with what was remembered says only that it was out of date.
      if (!cached) lost += 1
      if (lost === MAX_ATTEMPTS) throw new ProblemError('conflict', `${work.stream} keeps changing; try again`)
    }
    cached = undefined
  }
}

/** What is decided on remembered state is only believed when it appends: a refusal is decided again on fresh state. */
function rejectUnless(remembered: boolean) {
  return (error: unknown): undefined => {
    if (remembered && error instanceof ProblemError) return undefined
    throw error
  }
}

async function decide(
  { decider, command, meta, facts, authorise, expected }: Work,
  { state, revision }: Folded,
): Promise<AnyEvent[]> {
  await authorise?.(state)
  if (expected !== undefined && expected !== revision)
    throw new ProblemError('precondition-failed', `it is at revision ${revision}, not ${expected}`)
  const known = typeof facts === 'function' ? await facts(state) : facts
  return decider.decide(command, state, meta, known)
}

async function read({ store, clock, cache }: Kernel, decider: AnyDecider, stream: string): Promise<Folded> {
  const { events, revision } = await withPatience(clock, () => store.read(stream))
  const folded = extend(decider, nothing(decider), events)
  cache?.set(stream, folded)
  return { ...folded, revision }
}

const nothing = ({ initial }: AnyDecider): Folded => ({
  state: initial,
  revision: 'none',
  length: 0,
  byCommand: new Map(),
})

function extend(decider: AnyDecider, before: Folded, events: readonly Recorded[]): Folded {
  const byCommand = new Map(before.byCommand)
  for (const { id, type, revision, position, metadata } of events)
    byCommand.set(metadata.commandId, [...(byCommand.get(metadata.commandId) ?? []), { id, type, revision, position }])
  return {
    state: events.reduce<unknown>((state, event) => decider.evolve(state, event), before.state),
    revision: events.at(-1)?.revision ?? before.revision,
    length: before.length + events.length,
    byCommand,
  }
}

/** Undefined when somebody else appended first. */
async function append(kernel: Kernel, work: Work, folded: Folded, decided: AnyEvent[]): Promise<Answer | undefined> {
  const { store, clock, cache } = kernel
  const { decider, stream, meta } = work
  const events: NewEvent[] = decided.map((event, i) => ({ ...event, id: eventId(meta.commandId, i), metadata: meta }))
  try {
    // The same ids at the same revision: an append that did arrive the first time is answered, not doubled.
    const { revision, position } = await withPatience(clock, () => store.append(stream, events, folded.revision))
    const first = revision - BigInt(events.length - 1)
    const recorded = events.map((event, i) => ({
      ...event,
      stream,
      revision: first + BigInt(i),
      position,
    })) as Recorded[]
    const extended = extend(decider, folded, recorded)
    cache?.set(stream, extended)
    kernel.appended?.(recorded)
    return await answer(kernel, work, extended.byCommand.get(meta.commandId) ?? [])
  } catch (error) {
    cache?.delete(stream)
    if (error instanceof WrongRevision) return undefined
    throw refusedByStore(error)
  }
}

function refusedByStore(error: unknown): unknown {
  if (error instanceof SecretInEvent) return new ProblemError('secret-in-payload', error.message)
  if (error instanceof AppendTooLarge)
    return new ProblemError('body-too-large', 'What it leads to is larger than one append')
  return error
}

async function answer(kernel: Kernel, { meta, stream }: Work, own: readonly EventRef[]): Promise<Answer> {
  const last = own.at(-1)
  return {
    commandId: meta.commandId,
    stream,
    revision: String(last?.revision),
    position: last && isPlace(last.position) ? formatPosition(last.position) : await endOfLog(kernel),
    events: own.map(({ id, type, revision }) => ({ id, type, revision: String(revision) })),
  }
}

/** Some versions of EventStoreDB give no position when a single stream is read; the client then shows 2^64 - 1. */
const isPlace = ({ commit }: LogPosition) => commit >= 0n && commit < 2n ** 63n

async function unchanged(kernel: Kernel, { meta, stream }: Work, { revision }: Folded): Promise<Answer> {
  return { commandId: meta.commandId, stream, revision: String(revision), position: await endOfLog(kernel), events: [] }
}

/** A position at or after everything a decision was based on: reading from there shows what was found. */
async function endOfLog({ store, clock }: Kernel): Promise<string> {
  const head = await withPatience(clock, () => store.head())
  return formatPosition(head ?? { commit: 0n, prepare: 0n })
}

/** Commands of this process on one stream wait for each other instead of losing races against each other. */
function createQueues() {
  const tails = new Map<string, Promise<unknown>>()
  return async <T>(stream: string, work: () => Promise<T>): Promise<T> => {
    const before = tails.get(stream)
    const mine = before ? before.then(work, work) : work()
    const settled = mine.catch(() => {})
    tails.set(stream, settled)
    try {
      return await mine
    } finally {
      if (tails.get(stream) === settled) tails.delete(stream)
    }
  }
}
