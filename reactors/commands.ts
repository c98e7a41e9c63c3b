import { type Catalogue, createCatalogue } from '../command-api/dispatch/catalogue.ts'
import { factsForRun } from '../command-api/dispatch/run-facts.ts'
import type { Folded, StateCache } from '../command-api/dispatch/state-cache.ts'
import { createDispatcher } from '../command-api/dispatch.ts'
import { type CommandOf, type DeciderName, deciders, type RunFacts, type StateOf } from '../command-api/domain/index.ts'
import type { Clock } from '../infra/clock.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { Log } from '../infra/log.ts'
import { createVerdicts } from '../infra/safety/verdicts.ts'
import { categoryOf, type Recorded } from '../schemas/events.ts'
import type { Actor, Meta, Origin } from '../schemas/kernel.ts'
import { runEndedAs } from '../schemas/run.ts'
import { ResourceCache } from './resource-cache.ts'
import { createRights, keyOf, type Need } from './rights.ts'
import type { RunRequest } from './runs/active-run.ts'
import { mayRunBelow } from './runs/sub-run-rights.ts'

/** Who sends a command, and what made it do so. */
export type By = {
  commandId: string
  correlationId: string
  causationId: string
  /** The name of a reactor, or the executor on whose report it acts. */
  actor: string | Actor
  origin?: Origin
}

type Writable = 'run' | 'targetRun' | 'target' | 'executor'
type Followed = 'job' | 'target' | 'credential' | 'executor'
type TriggerRun = Extract<CommandOf<'run'>, { type: 'trigger-run' }>['data']
/** The step that triggers a run, and the run it is part of, whose rights it uses and what was confirmed for it. */
export type Above = { parent: NonNullable<RunFacts['parent']>; request: RunRequest }
const nothing: RunFacts = { job: { status: 'absent' }, targets: [], credentials: new Map() }

/** What the reactors do to the log: through the same rules as everybody else, and nothing beside them. */
export interface Commands {
  /**
   * Decides and appends; the same command id is written once. Answers the state it led to.
   * Throws DomainError when the rules forbid it, EventStoreUnavailable when it may be repeated.
   */
  send<N extends Writable>(name: N, command: CommandOf<N>, by: By): Promise<StateOf<N>>
  /** Like send, where the log is known to hold nothing of the stream: it is not read first. */
  sendFirst<N extends Writable>(name: N, command: CommandOf<N>, by: By): Promise<StateOf<N>>
  /**
   * Triggers a run for a step of another one, if whoever asked for that one may. Throws DomainError, ProblemError
   * forbidden, EventStoreUnavailable.
   */
  triggerRun(data: TriggerRun, above: Above, by: By): Promise<void>
  /** Which targets and credentials there are now. Throws EventStoreUnavailable. */
  catalogue(): Promise<Catalogue>
  /** Whether whoever asked for a run still may, as far as is known; `onRights` is called when that may have changed. */
  permits(request: RunRequest): boolean
  onRights(listener: () => void): void
  /** Why not, by what is in the log now; undefined where they may. Throws EventStoreUnavailable. */
  whyDenied(request: RunRequest): Promise<string | undefined>
  /** The same of a part of the run: a target, a credential. Reads the log only before it first says no. */
  lacks(request: RunRequest, need: Need): Promise<string | undefined>
  /** What this process knows of a stream; as current as the events it was given. Throws EventStoreUnavailable. */
  known<N extends Followed>(name: N, stream: string): Promise<StateOf<N>>
  /** A target run, at least as new as what this process wrote and was told of it; read when it never wrote to it. */
  active(stream: string): Promise<StateOf<'targetRun'>>
  /** As it is in the log now. Throws EventStoreUnavailable. */
  fresh<N extends DeciderName>(name: N, stream: string): Promise<StateOf<N>>
  /** Takes an event of the log: what is known of its stream stays current. */
  apply(event: Recorded): void
  stop(): Promise<void>
}

const MAX_RESOURCES = 10_000

export function createCommands({ store, clock, log }: { store: EventStore; clock: Clock; log: Log }): Commands {
  // Made when the first step asks for a run: it keeps every target in memory.
  let catalogue: Catalogue | undefined
  const theCatalogue = () => {
    catalogue ??= createCatalogue({ store, log })
    return catalogue
  }
  const cache = activeStates()
  const verdicts = createVerdicts({ max: 500 })
  const rights = createRights({ store, clock, log })
  const dispatcher = createDispatcher({ store, clock, cache })
  const followed = {
    job: new ResourceCache(store, deciders.job, 500),
    target: new ResourceCache(store, deciders.target, MAX_RESOURCES),
    credential: new ResourceCache(store, deciders.credential, MAX_RESOURCES),
    executor: new ResourceCache(store, deciders.executor, MAX_RESOURCES),
  }
  const send: Commands['send'] = async (name, command, by) => {
    const { stream } = await dispatcher.dispatch(name, command, { meta: metaOf(by, clock), facts: undefined })
    // The cache was filled by the decider of this name.
    const folded = cache.get(stream)
    return folded ? (folded.state as StateOf<typeof name>) : fresh(name, stream)
  }
  const fresh: Commands['fresh'] = async (name, stream) => (await dispatcher.load(name, stream)).state
  return {
    send,
    sendFirst(name, command, by) {
      const { initial, streamOf } = deciders[name] as { initial: unknown; streamOf(data: unknown): string }
      const stream = streamOf(command.data)
      if (!cache.get(stream)) cache.set(stream, { state: initial, revision: 'none', length: 0, byCommand: new Map() })
      return send(name, command, by)
    },
    permits: rights.permits,
    onRights: rights.onChange,
    whyDenied: rights.confirm,
    lacks: rights.lacks,
    async catalogue() {
      const known = theCatalogue()
      await known.current()
      return known
    },
    async triggerRun(data, { parent, request }, by) {
      const deps = { dispatcher, catalogue: theCatalogue(), verdicts }
      const { confirmed: confirmedAbove, runAs } = request
      const apiKeyId = keyOf(request)
      const authorisedBy = { kind: 'run', runId: parent.runId, ...(apiKeyId !== undefined && { apiKeyId }) } as const
      const check = mayRunBelow(deps.catalogue, need => rights.lacks(request, need))
      const command = { type: 'trigger-run', data } as const
      const meta = metaOf(by, clock)
      const facts = async () => {
        const found = (await factsForRun(deps, command, meta.actor, check)) ?? nothing
        return { ...found, parent, confirmedAbove, authority: { authorisedBy, runAs } }
      }
      await dispatcher.dispatch('run', command, { meta, facts })
    },
    known: (name, stream) => followed[name].get(stream) as Promise<StateOf<typeof name>>,
    active: async stream => (cache.get(stream)?.state as StateOf<'targetRun'>) ?? fresh('targetRun', stream),
    fresh,
    apply(event) {
      const category = categoryOf(event.stream)
      if (isFollowed(category)) followed[category].apply(event)
      if (category === 'run' || category === 'targetrun')
        cache.told(event, category === 'run' ? deciders.run : deciders.targetRun)
      if (targetRunEndings.has(event.type) || runEndedAs(event.type)) cache.delete(event.stream)
    },
    stop: async () => void (await Promise.all([catalogue?.stop(), rights.stop()])),
  }
}

const isFollowed = (category: string): category is Followed =>
  category === 'job' || category === 'target' || category === 'credential' || category === 'executor'

function metaOf({ commandId, correlationId, causationId, actor, origin }: By, clock: Clock): Meta {
  return {
    commandId,
    $correlationId: correlationId,
    $causationId: causationId,
    actor: typeof actor === 'string' ? { kind: 'system', id: actor } : actor,
    origin: origin ?? { channel: 'system' },
    at: clock.now(),
  }
}

const targetRunEndings = new Set(['TargetRunSucceeded', 'TargetRunFailed', 'TargetRunCancelled'])

type Evolve = { evolve(state: never, event: never): unknown }

/** States of streams that are being written to: a target run or a run leaves when the log tells of its end. */
function activeStates(max = 20_000): StateCache & { told(event: Recorded, decider: Evolve): void } {
  const entries = new Map<string, Folded>()
  return {
    get: stream => entries.get(stream),
    set(stream, folded) {
      // The log may tell of an append, and of more, before its answer comes.
      if (isNewer(entries.get(stream), folded)) return
      entries.set(stream, folded)
      for (const oldest of entries.keys()) {
        if (entries.size <= max) break
        entries.delete(oldest)
      }
    },
    told(event, { evolve }) {
      const known = entries.get(event.stream)
      if (!known || event.revision <= numberOf(known.revision)) return
      if (event.revision > numberOf(known.revision) + 1n) entries.delete(event.stream)
      // The decider is the one of the event's category.
      else entries.set(event.stream, extended(known, event, evolve(known.state as never, event as never)))
    },
    delete: stream => void entries.delete(stream),
  }
}

const numberOf = (revision: Folded['revision']): bigint => (revision === 'none' ? -1n : revision)
const isNewer = (known: Folded | undefined, than: Folded): boolean =>
  known !== undefined && numberOf(known.revision) > numberOf(than.revision)

function extended(before: Folded, { id, type, revision, position, metadata }: Recorded, state: unknown): Folded {
  const byCommand = new Map(before.byCommand)
  const own = byCommand.get(metadata.commandId) ?? []
  byCommand.set(metadata.commandId, [...own, { id, type, revision, position }])
  return { state, revision, length: before.length + 1, byCommand }
}
