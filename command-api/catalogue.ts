import { type EventStore, EventStoreUnavailable } from '../infra/event-store/port.ts'
import type { Log } from '../infra/log.ts'
import type { LogPosition, Recorded } from '../schemas/events.ts'
import type { Selection } from '../schemas/job.ts'
import { matchesLabels, parseLabelExpression } from '../schemas/label-expression.ts'
import { comparePositions } from '../schemas/position.ts'
import type { SelectedTarget } from './domain/index.ts'

type Entry = { tags: Record<string, string>; status: 'active' | 'decommissioned'; credentialId: string | undefined }

/** Which targets and credentials there are, in memory: what a selection is resolved against. */
export interface Catalogue {
  /** Resolves once everything is known that was in the log when it was called. Throws EventStoreUnavailable. */
  current(): Promise<void>
  /** Named targets as named, then those the labels match, oldest first; none twice. */
  select(selection: Selection): SelectedTarget[]
  credential(credentialId: string): 'active' | 'revoked' | undefined
  /** True once the log was read to its end. */
  readonly live: boolean
  stop(): Promise<void>
}

const CATEGORIES = ['target', 'credential'] as const
const CATCH_UP_MS = 5_000

export function createCatalogue({ store, log }: { store: EventStore; log: Log }): Catalogue {
  const content = createContent()
  const stopped = new AbortController()
  let live = false
  let applied: LogPosition | undefined
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined

  /** Both readers below apply in log order from a place already applied, so what is older than that place is known. */
  const take = (events: readonly Recorded[], upTo: LogPosition | undefined) => {
    for (const event of events) if (isAfter(event.position, applied)) content.apply(event)
    if (upTo && isAfter(upTo, applied)) applied = upTo
  }
  const read = async (signal: AbortSignal, whole: boolean) => {
    for await (const batch of store.follow({ categories: CATEGORIES, after: applied, signal })) {
      take(batch.events, batch.position)
      live ||= batch.caughtUp
      if (batch.caughtUp && !whole) return
    }
  }
  const following = read(stopped.signal, true).catch(err => {
    log.fatal({ err }, 'the log cannot be read on: no run can be triggered any more')
    live = false
  })
  const catchUp = async () => {
    const head = await store.head()
    if (live && (!head || !isAfter(head, applied))) return
    const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(CATCH_UP_MS)])
    await read(signal, false)
    if (signal.aborted) throw new EventStoreUnavailable('the log could not be read to its end')
  }
  /** One reading serves everybody who asked before it began, and nobody who asked later. */
  const afterwards = async () => {
    await running?.catch(() => {})
    next = undefined
    running = catchUp()
    await running
  }
  return {
    get live() {
      return live
    },
    current() {
      next ??= afterwards()
      return next
    },
    select: content.select,
    credential: content.credential,
    async stop() {
      stopped.abort()
      await following
    },
  }
}

const isAfter = (a: LogPosition, b: LogPosition | undefined) => b === undefined || comparePositions(a, b) > 0

function createContent() {
  const targets = new Map<string, Entry>()
  const credentials = new Map<string, 'active' | 'revoked'>()
  return {
    apply: (event: Recorded) => apply(event, targets, credentials),
    credential: (credentialId: string) => credentials.get(credentialId),
    select({ targetIds = [], labels }: Selection): SelectedTarget[] {
      const named = new Set(targetIds)
      const chosen: SelectedTarget[] = [...named].map(targetId => {
        const { status = 'absent', credentialId } = targets.get(targetId) ?? {}
        return { targetId, status, credentialId }
      })
      const wanted = labels === undefined ? undefined : parseLabelExpression(labels)
      if (!wanted) return chosen
      // Registration order is the order of the map.
      for (const [targetId, { tags, status, credentialId }] of targets)
        if (status === 'active' && !named.has(targetId) && matchesLabels(wanted, tags))
          chosen.push({ targetId, status, credentialId })
      return chosen
    },
  }
}

function apply(event: Recorded, targets: Map<string, Entry>, credentials: Map<string, 'active' | 'revoked'>): void {
  if (event.type === 'CredentialCreated') credentials.set(event.data.credentialId, 'active')
  else if (event.type === 'CredentialRevoked') credentials.set(event.data.credentialId, 'revoked')
  else if (event.type === 'TargetRegistered') {
    const { targetId, tags, credentialId } = event.data
    targets.set(targetId, { tags: { ...tags }, status: 'active', credentialId })
  } else if ('targetId' in event.data) {
    const entry = targets.get(event.data.targetId)
    if (entry) change(entry, event)
  }
}

function change(entry: Entry, event: Recorded): void {
  if (event.type === 'TargetTagged') entry.tags[event.data.key] = event.data.value
  else if (event.type === 'TargetUntagged') delete entry.tags[event.data.key]
  else if (event.type === 'CredentialAssignedToTarget') entry.credentialId = event.data.credentialId
  else if (event.type === 'TargetDecommissioned') entry.status = 'decommissioned'
  else if (event.type === 'TargetReinstated') entry.status = 'active'
}
