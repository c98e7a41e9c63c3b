import { setTimeout as delay } from 'node:timers/promises'
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
const PATIENCE_MS = 5_000
/** Between two readings nobody asked for. Reading in strides costs a fraction of being told of every event. */
const STRIDE_MS = 500
/** So many of them may be put off while the process is busy with commands: whoever needs the newest asks for it. */
const PUT_OFF = 20
const BUSY = 0.5

export function createCatalogue({ store, log }: { store: EventStore; log: Log }): Catalogue {
  const content = createContent()
  const stopped = new AbortController()
  let live = false
  let applied: LogPosition | undefined
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined

  const readToTheEnd = async () => {
    for await (const batch of store.follow({ categories: CATEGORIES, after: applied, signal: stopped.signal })) {
      for (const event of batch.events) content.apply(event)
      applied = later(batch.position, applied)
      if (batch.caughtUp) return
    }
  }
  const refresh = async () => {
    const head = await store.head()
    if (!live || later(head, applied) !== applied) await readToTheEnd()
    // Nothing of our categories is missing up to where the log ended before it was read to its end.
    applied = later(head, applied)
    live = !stopped.signal.aborted
  }
  /** One reading serves everybody who asked before it began, and nobody who asked later. */
  const afterwards = async () => {
    await running?.catch(() => {})
    next = undefined
    running = refresh()
    await running
  }
  const current = () => {
    next ??= afterwards()
    return next
  }
  // A follower waits for a broken event store without end; what is not read in time counts as unreadable all the same.
  const following = keepReading(
    () => withinPatience(current()),
    stopped.signal,
    error => {
      if (live) log.warn({ err: error }, 'the log cannot be read: what runs select from may be out of date')
      live = false
    },
  )
  return {
    get live() {
      return live
    },
    current: () => withinPatience(current()),
    select: content.select,
    credential: content.credential,
    async stop() {
      stopped.abort()
      await following
    },
  }
}

async function keepReading(read: () => Promise<void>, signal: AbortSignal, onError: (error: unknown) => void) {
  while (!signal.aborted) {
    await read().catch(onError)
    await quietMoment(signal)
  }
}

async function quietMoment(signal: AbortSignal): Promise<void> {
  for (let strides = 0; strides < PUT_OFF && !signal.aborted; strides++) {
    const before = performance.eventLoopUtilization()
    await delay(STRIDE_MS, undefined, { signal }).catch(() => {})
    if (performance.eventLoopUtilization(before).utilization < BUSY) return
  }
}

async function withinPatience(reading: Promise<void>): Promise<void> {
  const patience = new AbortController()
  const late = delay(PATIENCE_MS, undefined, { signal: patience.signal }).then(() => {
    throw new EventStoreUnavailable('the log could not be read to its end in time')
  })
  late.catch(() => {})
  await Promise.race([reading, late]).finally(() => patience.abort())
}

/** The later of the two; the second when they are the same. */
const later = (a: LogPosition | undefined, b: LogPosition | undefined): LogPosition | undefined =>
  a && (!b || comparePositions(a, b) > 0) ? a : b

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
