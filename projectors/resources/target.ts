import type { TargetEvent, TargetRow } from '../../schemas/target.ts'
import { required } from './required.ts'

/** A target as its events tell it. */
export function evolveTarget(before: TargetRow | undefined, event: TargetEvent): TargetRow {
  if (event.type === 'TargetRegistered') return registered(event.data)
  const target = required(before)
  switch (event.type) {
    case 'TargetRenamed':
      return { ...target, name: event.data.name }
    case 'TargetAddressChanged':
      return { ...target, ...forgetObserved(target), address: event.data.address, port: event.data.port }
    case 'TargetTagged':
      return { ...target, tags: { ...target.tags, [event.data.key]: event.data.value } }
    case 'TargetUntagged': {
      const { [event.data.key]: _, ...tags } = target.tags
      return { ...target, tags }
    }
    case 'CredentialAssignedToTarget':
      return { ...target, credentialId: event.data.credentialId }
    case 'HostKeyPinned':
      return { ...target, hostKey: event.data.hostKey, hostKeySource: 'pinned' }
    case 'HostKeyObserved':
      return { ...target, hostKey: event.data.hostKey, hostKeySource: 'observed' }
    case 'HostKeyMismatchDetected':
      return target
    case 'TargetDecommissioned':
      return { ...target, status: 'decommissioned' }
    case 'TargetReinstated':
      return { ...target, status: 'active' }
  }
}

function registered(data: Extract<TargetEvent, { type: 'TargetRegistered' }>['data']): TargetRow {
  const { targetId, name, address, port, platform, tags, hostKeyPolicy, hostKey, credentialId } = data
  return {
    targetId,
    name,
    address,
    port,
    platform,
    tags,
    status: 'active',
    hostKeyPolicy,
    hostKey: hostKey ?? null,
    hostKeySource: hostKey === undefined ? null : 'pinned',
    credentialId: credentialId ?? null,
  }
}

/** Another machine answers at another address; a key somebody pinned is meant to follow the target. */
const forgetObserved = (target: TargetRow): Partial<TargetRow> =>
  target.hostKeySource === 'observed' ? { hostKey: null, hostKeySource: null } : {}
