import { streams } from '../../schemas/events.ts'
import type { TargetCommand, TargetEvent } from '../../schemas/target.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'

type Registered = Omit<Extract<TargetEvent, { type: 'TargetRegistered' }>['data'], 'hostKey'>
type HostKey = { key: string; source: 'pinned' | 'observed' }
export type Target =
  | { status: 'absent' }
  | (Registered & { status: 'active' | 'decommissioned'; hostKey?: HostKey | undefined })
type Known = Exclude<Target, { status: 'absent' }>
export type IdentifiedTargetCommand = Identified<TargetCommand, 'targetId'>
type Create = Extract<IdentifiedTargetCommand, { type: 'create-target' }>['data']

const MAX_TAGS = 64

export const target: Decider<Target, IdentifiedTargetCommand, TargetEvent, unknown> = {
  category: 'target',
  streamOf: data => streams.target(data.targetId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state) {
    if (command.type === 'create-target') return create(command.data, state)
    if (state.status === 'absent') throw new DomainError('target-not-found', `no target ${command.data.targetId}`)
    if (command.type === 'reinstate-target')
      return state.status === 'active' ? [] : [{ type: 'TargetReinstated', data: command.data }]
    if (command.type === 'decommission-target')
      return state.status === 'decommissioned' ? [] : [{ type: 'TargetDecommissioned', data: command.data }]
    if (state.status === 'decommissioned')
      throw new DomainError('target-decommissioned', `the target ${state.name} is decommissioned`)
    return change(command, state)
  },
}

function create(data: Create, state: Target): TargetEvent[] {
  if (state.status === 'absent') return [{ type: 'TargetRegistered', data }]
  if (describesSame(data, state)) return []
  throw new DomainError('target-already-exists', `there is already a target ${data.targetId}`)
}

/** True when the request describes the target just as it is: a repeat, or a race that both sides won. */
function describesSame(data: Create, state: Known): boolean {
  const { name, address, port, platform, hostKeyPolicy, credentialId, hostKey } = data
  return (
    state.status === 'active' &&
    name === state.name &&
    address === state.address &&
    port === state.port &&
    platform === state.platform &&
    hostKeyPolicy === state.hostKeyPolicy &&
    credentialId === state.credentialId &&
    hostKey === state.hostKey?.key &&
    sameTags(data.tags, state.tags)
  )
}

function sameTags(a: Record<string, string>, b: Record<string, string>): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every(key => Object.hasOwn(b, key) && a[key] === b[key])
}

type Change = Exclude<IdentifiedTargetCommand, { type: 'create-target' | 'decommission-target' | 'reinstate-target' }>

function change(command: Change, state: Known): TargetEvent[] {
  const { targetId } = state
  switch (command.type) {
    case 'rename-target':
      return command.data.name === state.name ? [] : [{ type: 'TargetRenamed', data: command.data }]
    case 'change-target-address': {
      const { address, port = state.port } = command.data
      if (address === state.address && port === state.port) return []
      return [{ type: 'TargetAddressChanged', data: { targetId, address, port } }]
    }
    case 'tag-target':
      return tag(command.data, state)
    case 'untag-target':
      return Object.hasOwn(state.tags, command.data.key) ? [{ type: 'TargetUntagged', data: command.data }] : []
    case 'assign-credential':
      if (command.data.credentialId === state.credentialId) return []
      return [{ type: 'CredentialAssignedToTarget', data: command.data }]
    case 'pin-host-key':
      if (state.hostKey?.source === 'pinned' && state.hostKey.key === command.data.hostKey) return []
      return [{ type: 'HostKeyPinned', data: command.data }]
    case 'observe-host-key':
      return observe(command.data, state)
    case 'report-host-key-mismatch':
      return mismatch(command.data, state)
  }
}

function tag(data: { targetId: string; key: string; value: string }, state: Known): TargetEvent[] {
  const known = Object.hasOwn(state.tags, data.key)
  if (known && state.tags[data.key] === data.value) return []
  if (!known && Object.keys(state.tags).length >= MAX_TAGS)
    throw new DomainError('too-many-tags', `a target has at most ${MAX_TAGS} tags`)
  return [{ type: 'TargetTagged', data }]
}

/** First use binds: the first key seen is the key from now on, and any other is reported, never taken. */
function observe(data: { targetId: string; hostKey: string; runId: string }, state: Known): TargetEvent[] {
  if (state.hostKey) return mismatch({ ...data, presented: data.hostKey }, state)
  if (state.hostKeyPolicy === 'first-use') return [{ type: 'HostKeyObserved', data }]
  throw new DomainError('conflict', 'only a pinned host key counts for this target, and none is pinned')
}

function mismatch(data: { targetId: string; presented: string; runId: string }, state: Known): TargetEvent[] {
  const { targetId, presented, runId } = data
  if (!state.hostKey || state.hostKey.key === presented) return []
  return [{ type: 'HostKeyMismatchDetected', data: { targetId, expected: state.hostKey.key, presented, runId } }]
}

function evolve(state: Target, event: TargetEvent): Target {
  if (event.type === 'TargetRegistered') {
    const { hostKey, ...registered } = event.data
    return { ...registered, status: 'active', hostKey: pinned(hostKey) }
  }
  return state.status === 'absent' ? state : changed(state, event)
}

const pinned = (key: string | undefined): HostKey | undefined =>
  key === undefined ? undefined : { key, source: 'pinned' }

function changed(state: Known, event: Exclude<TargetEvent, { type: 'TargetRegistered' }>): Target {
  switch (event.type) {
    case 'TargetRenamed':
      return { ...state, name: event.data.name }
    case 'TargetAddressChanged': {
      // What was observed at the old address says nothing about the new one; what a person pinned still holds.
      const hostKey = state.hostKey?.source === 'pinned' ? state.hostKey : undefined
      return { ...state, address: event.data.address, port: event.data.port, hostKey }
    }
    case 'TargetTagged':
      return { ...state, tags: { ...state.tags, [event.data.key]: event.data.value } }
    case 'TargetUntagged': {
      const { [event.data.key]: _, ...tags } = state.tags
      return { ...state, tags }
    }
    case 'CredentialAssignedToTarget':
      return { ...state, credentialId: event.data.credentialId }
    case 'HostKeyPinned':
      return { ...state, hostKey: pinned(event.data.hostKey) }
    case 'HostKeyObserved':
      return { ...state, hostKey: { key: event.data.hostKey, source: 'observed' } }
    case 'HostKeyMismatchDetected':
      return state
    case 'TargetDecommissioned':
      return { ...state, status: 'decommissioned' }
    case 'TargetReinstated':
      return { ...state, status: 'active' }
  }
}
