import { type AccessState, accessKinds, applyEvent, createAccessState, judge, type Resource } from '../infra/access.ts'
import type { Clock } from '../infra/clock.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { Log } from '../infra/log.ts'
import type { PrincipalRef } from '../schemas/access.ts'
import { principalText } from '../schemas/sod.ts'
import type { RunRequest } from './runs/active-run.ts'

/** What a part of a run takes. */
export type Need = { permission: 'run:trigger' | 'target:use' | 'credential:use' | 'target:read'; resource: Resource }

/** Whether those who asked for runs still may, when their runs, or parts of them, are about to begin. */
export interface Rights {
  /** As far as is known now; a no has to be confirmed, as what is known may be older than the run. */
  permits(request: RunRequest): boolean
  /** Reads the log to its end first. Answers why it is not permitted, or undefined. Throws EventStoreUnavailable. */
  confirm(request: RunRequest): Promise<string | undefined>
  /**
   * Why whoever asked for the run may not do this now, or undefined. The log is read for the first no of a run only.
   * Throws EventStoreUnavailable.
   */
  lacks(request: RunRequest, need: Need): Promise<string | undefined>
  /** Called back whenever somebody's rights have changed. */
  onChange(listener: () => void): void
  stop(): Promise<void>
}

type Options = { store: Pick<EventStore, 'follow'>; clock: Clock; log: Log }

/** Begins to follow the log with the first run that somebody's grants allowed. */
export function createRights({ store, clock, log }: Options): Rights {
  const stopped = new AbortController()
  const state = createAccessState()
  const listeners: Array<() => void> = []
  /** Runs since whose beginning the log was read to its end. */
  const readSince = new WeakSet<RunRequest>()
  let following: Promise<void> | undefined
  let live = false
  const take = async (until: 'stopped' | 'caught-up') => {
    for await (const batch of store.follow({ categories: accessKinds, after: undefined, signal: stopped.signal })) {
      let changed = false
      for (const event of batch.events) changed = applyEvent(state, event) || changed
      live ||= batch.caughtUp
      if (changed && live) for (const listener of listeners) listener()
      if (until === 'caught-up' && batch.caughtUp) return
    }
  }
  const readToEnd = shared(() => take('caught-up'))
  const follow = () => {
    following ??= take('stopped').catch(err => {
      following = undefined
      if (!stopped.signal.aborted) log.error({ err }, 'who may do what cannot be read from the log')
    })
  }
  const why = (request: RunRequest, need: Need) => deniedWhy(state, request, need, clock)
  return {
    permits(request) {
      if (!isBound(request)) return true
      follow()
      return live && why(request, ofJob(request)) === undefined
    },
    async confirm(request) {
      await readToEnd()
      readSince.add(request)
      return why(request, ofJob(request))
    },
    async lacks(request, need) {
      if (!isBound(request)) return undefined
      follow()
      const known = live ? why(request, need) : 'nothing is known yet'
      if (known === undefined || readSince.has(request)) return known
      await readToEnd()
      readSince.add(request)
      return why(request, need)
    },
    onChange: listener => void listeners.push(listener),
    async stop() {
      stopped.abort()
      await following
    },
  }
}

/** Whoever asks while the work is under way waits for the next time: it may have begun too early for them. */
function shared(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  const begin = (): Promise<void> => {
    next = undefined
    running = work().finally(() => {
      running = undefined
    })
    return running
  }
  return () => {
    if (!running) return begin()
    next ??= running.then(begin, begin)
    return next
  }
}

/** What keys of the key file ask for, or was asked for before rights were recorded, hangs on no grant. */
const isBound = ({ authorisedBy, runAs }: RunRequest): boolean =>
  authorisedBy !== undefined && authorisedBy.kind !== 'administrator-key' && runAs !== undefined

/** The API key at whose word a run, or the one above it, was triggered. */
export function keyOf({ authorisedBy, initiator }: Pick<RunRequest, 'authorisedBy' | 'initiator'>): string | undefined {
  if (authorisedBy?.kind === 'run') return authorisedBy.apiKeyId
  return authorisedBy?.kind === 'grant' && initiator.kind === 'api-key' ? initiator.id : undefined
}

/** A key is asked about as a key, as it may do less than its owner, and may be revoked alone. */
function whoAsked(request: RunRequest): PrincipalRef | undefined {
  const id = keyOf(request)
  return id === undefined ? request.runAs : { kind: 'api-key', id }
}

const ofJob = ({ jobId: id }: RunRequest): Need => ({ permission: 'run:trigger', resource: { kind: 'job', id } })

function deniedWhy(
  state: AccessState,
  request: RunRequest,
  { permission, resource }: Need,
  clock: Clock,
): string | undefined {
  const who = whoAsked(request)
  if (!who || !isBound(request)) return undefined
  const judged = judge(state, who, permission, resource, Date.parse(clock.now()))
  if (judged.allowed) return undefined
  const isItsJob = permission === 'run:trigger' && resource.id === request.jobId
  const what = isItsJob ? 'may not run this job any more' : `needs ${permission} on the ${resource.kind} ${resource.id}`
  return `${principalText(who)} ${what}: ${whys[judged.why]}`
}

const whys = {
  inactive: 'deactivated, disabled or revoked',
  'not-granted': 'no grant allows it',
  'out-of-scope': 'the grants are about something else',
  expired: 'the grant has expired',
  'outside-key': 'the key is narrowed to something else',
} as const
