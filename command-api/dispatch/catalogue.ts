import type { EventStore } from '../../infra/event-store/port.ts'
import type { Log } from '../../infra/log.ts'
import type { Owner } from '../../schemas/actor.ts'
import type { CredentialKind } from '../../schemas/credential.ts'
import type { Recorded } from '../../schemas/events.ts'
import type { Selection } from '../../schemas/job.ts'
import type { Actor } from '../../schemas/kernel.ts'
import { matchesLabels, parseLabelExpression } from '../../schemas/label-expression.ts'
import type { SelectedTarget } from '../domain/index.ts'
import type { TargetScope } from '../domain/workflow/index.ts'
import { createFollower, type Follower } from './follower.ts'

type Entry = {
  name: string
  address: string
  port: number
  tags: Record<string, string>
  status: 'active' | 'decommissioned'
  credentialId: string | undefined
}

export type KnownCredential = {
  status: 'active' | 'revoked' | 'expired'
  owner: Owner | undefined
  /** Of its newest version. */
  kind: CredentialKind
}

/** Which targets and credentials there are, in memory: what a selection is resolved against. */
export interface Catalogue extends Follower {
  /** Named targets as named, then those the labels match, oldest first; none twice. */
  select(selection: Selection): SelectedTarget[]
  /** As expressions see it. */
  target(targetId: string): TargetScope | undefined
  credential(credentialId: string): KnownCredential | undefined
  /** Its newest version. */
  credentialVersion(credentialId: string): number | undefined
  /** Who stored any of its versions. */
  credentialWriters(credentialId: string): readonly Actor[]
}

export function createCatalogue({ store, log }: { store: EventStore; log: Log }): Catalogue {
  const { apply, ...content } = createContent()
  const follower = createFollower({ store, log, categories: ['target', 'credential'], apply })
  return {
    get live() {
      return follower.live
    },
    current: follower.current,
    stop: follower.stop,
    ...content,
  }
}

type Stored = { version: number; writers: readonly Actor[] }

function createContent() {
  const targets = new Map<string, Entry>()
  const credentials = new Map<string, KnownCredential>()
  const stored = new Map<string, Stored>()
  return {
    apply(event: Recorded) {
      apply(event, targets, credentials)
      noteStored(event, stored)
    },
    credential: (credentialId: string) => credentials.get(credentialId),
    credentialVersion: (credentialId: string) => stored.get(credentialId)?.version,
    credentialWriters: (credentialId: string) => stored.get(credentialId)?.writers ?? [],
    target(targetId: string): TargetScope | undefined {
      const entry = targets.get(targetId)
      return entry && { id: targetId, name: entry.name, address: entry.address, port: entry.port, tags: entry.tags }
    },
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

function apply(event: Recorded, targets: Map<string, Entry>, credentials: Map<string, KnownCredential>): void {
  if ('credentialId' in event.data && !('targetId' in event.data)) applyToCredential(event, credentials)
  else if (event.type === 'TargetRegistered') {
    const { targetId, name, address, port, tags, credentialId } = event.data
    targets.set(targetId, { name, address, port, tags: { ...tags }, status: 'active', credentialId })
  } else if ('targetId' in event.data) {
    const entry = targets.get(event.data.targetId)
    if (entry) change(entry, event)
  }
}

/** By whom a credential was stored, and how often. */
function noteStored(event: Recorded, stored: Map<string, Stored>): void {
  const { type, data, metadata } = event
  if (type !== 'CredentialCreated' && type !== 'CredentialVersionAdded') return
  const { version = 0, writers = [] } = stored.get(data.credentialId) ?? {}
  const known = writers.some(({ kind, id }) => kind === metadata.actor.kind && id === metadata.actor.id)
  stored.set(data.credentialId, {
    version: type === 'CredentialVersionAdded' ? data.version : version,
    writers: known ? writers : [...writers, metadata.actor],
  })
}

function applyToCredential({ type, data }: Recorded, credentials: Map<string, KnownCredential>): void {
  if (type === 'CredentialCreated') {
    const { credentialId, owner, kind } = data
    credentials.set(credentialId, { status: 'active', owner, kind })
  }
  const status = type && standings[type]
  const known =
    'credentialId' in data && data.credentialId !== undefined ? credentials.get(data.credentialId) : undefined
  if (known && status && known.status !== 'revoked') known.status = status
  if (known && type === 'CredentialVersionAdded') known.kind = data.kind
}

const standings: Readonly<Record<string, KnownCredential['status']>> = {
  CredentialVersionAdded: 'active',
  CredentialExpired: 'expired',
  CredentialRevoked: 'revoked',
}

function change(entry: Entry, event: Recorded): void {
  if (event.type === 'TargetTagged') entry.tags[event.data.key] = event.data.value
  else if (event.type === 'TargetUntagged') delete entry.tags[event.data.key]
  else if (event.type === 'TargetRenamed') entry.name = event.data.name
  else if (event.type === 'TargetAddressChanged') {
    entry.address = event.data.address
    entry.port = event.data.port
  } else if (event.type === 'CredentialAssignedToTarget') entry.credentialId = event.data.credentialId
  else if (event.type === 'TargetDecommissioned') entry.status = 'decommissioned'
  else if (event.type === 'TargetReinstated') entry.status = 'active'
}
