import { type AccessState, accessKinds, applyEvent, createAccessState, judge } from '../infra/access.ts'
import type { Clock } from '../infra/clock.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { Log } from '../infra/log.ts'
import { principalText } from '../schemas/sod.ts'
import type { RunRequest } from './runs/active-run.ts'

/** Whether those who asked for runs still may, when their runs are about to begin. */
export interface Rights {
  /** As far as is known now; a no has to be confirmed, as what is known may be older than the run. */
  permits(request: RunRequest): boolean
  /** Reads the log to its end first. Answers why it is not permitted, or undefined. Throws EventStoreUnavailable. */
  confirm(request: RunRequest): Promise<string | undefined>
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
  const follow = () => {
    following ??= take('stopped').catch(err => {
      following = undefined
      if (!stopped.signal.aborted) log.error({ err }, 'who may do what cannot be read from the log')
    })
  }
  return {
    permits(request) {
      if (!isBound(request)) return true
      follow()
      return live && deniedWhy(state, request, clock) === undefined
    },
    async confirm(request) {
      await take('caught-up')
      return deniedWhy(state, request, clock)
    },
    onChange: listener => void listeners.push(listener),
    async stop() {
      stopped.abort()
      await following
    },
  }
}

/** What keys of the key file ask for, or was asked for before rights were recorded, hangs on no grant. */
const isBound = ({ authorisedBy, runAs }: RunRequest): boolean =>
  authorisedBy !== undefined && authorisedBy.kind !== 'administrator-key' && runAs !== undefined

/** A key is asked about as a key, as it may do less than its owner, and may be revoked alone. */
function deniedWhy(state: AccessState, request: RunRequest, clock: Clock): string | undefined {
  const { authorisedBy, runAs, initiator, jobId } = request
  if (!runAs || !authorisedBy || authorisedBy.kind === 'administrator-key') return undefined
  const isKey = authorisedBy.kind === 'grant' && initiator.kind === 'api-key'
  const who = isKey ? ({ kind: 'api-key', id: initiator.id } as const) : runAs
  const judged = judge(state, who, 'run:trigger', { kind: 'job', id: jobId }, Date.parse(clock.now()))
  if (judged.allowed) return undefined
  return `${principalText(who)} may not run this job any more: ${whys[judged.why]}`
}

const whys = {
  inactive: 'deactivated, disabled or revoked',
  'not-granted': 'no grant allows it',
  'out-of-scope': 'the grants are about something else',
  expired: 'the grant has expired',
  'outside-key': 'the key is narrowed to something else',
} as const
