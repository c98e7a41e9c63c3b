import type { ApiKeyCommand, ApiKeyEvent } from '../../schemas/api-key.ts'
import { streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'
import { type Decider, DomainError, type Identified } from './decider.ts'

export type ApiKey =
  | { status: 'absent' }
  | {
      status: 'active' | 'revoked'
      keyId: string
      name: string
      secretHash: string
      expiresAt: string
      usedAt: string | undefined
      stopped: boolean
    }
export type ApiKeyDecision = Identified<ApiKeyCommand, 'keyId'>
/** SHA-256 of the key that is given out; whether its owner may act now. */
export type ApiKeyFacts = { secretHash?: string; owner?: 'active' | 'inactive' | 'absent' }
type DataOf<T extends ApiKeyDecision['type']> = Extract<ApiKeyDecision, { type: T }>['data']

/** The use of a key is told at most so often. */
const USE_EVERY_MS = 3_600_000

export const apiKey: Decider<ApiKey, ApiKeyDecision, ApiKeyEvent, ApiKeyFacts> = {
  category: 'apikey',
  streamOf: data => streams.apiKey(data.keyId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state, meta, facts) {
    if (command.type === 'issue-api-key') return issue(command.data, state, meta, facts)
    if (state.status === 'absent') throw new DomainError('api-key-not-found', `no API key ${command.data.keyId}`)
    switch (command.type) {
      case 'revoke-api-key':
        return state.status === 'revoked' ? [] : [{ type: 'ApiKeyRevoked', data: command.data }]
      case 'tell-api-key-stopped': {
        const { keyId, owner } = command.data
        if (state.stopped || state.status === 'revoked' || state.expiresAt <= meta.at) return []
        return [{ type: 'ApiKeyStopped', data: { keyId, name: state.name, owner } }]
      }
      case 'note-api-key-use': {
        const { at } = command.data
        const fresh = state.usedAt !== undefined && Date.parse(at) - Date.parse(state.usedAt) < USE_EVERY_MS
        return fresh || state.status === 'revoked' ? [] : [{ type: 'ApiKeyUsed', data: command.data }]
      }
    }
  },
}

function issue(data: DataOf<'issue-api-key'>, state: ApiKey, { at }: Meta, facts: ApiKeyFacts): ApiKeyEvent[] {
  const { expiresSeconds, ...rest } = data
  const { secretHash, owner } = facts
  if (secretHash === undefined) throw new Error('a key is issued by its hash')
  if (state.status !== 'absent')
    throw new DomainError('api-key-already-exists', `there is already an API key ${data.keyId}`)
  if (owner === 'absent')
    throw new DomainError(
      data.owner.kind === 'user' ? 'user-not-found' : 'service-account-not-found',
      `no ${data.owner.kind} ${data.owner.id}`,
    )
  if (owner !== 'active') throw new DomainError('api-key-owner-inactive', `${data.owner.id} may not act now`)
  const expiresAt = new Date(Date.parse(at) + expiresSeconds * 1000).toISOString()
  return [{ type: 'ApiKeyIssued', data: { ...rest, secretHash, expiresAt } }]
}

function evolve(state: ApiKey, event: ApiKeyEvent): ApiKey {
  if (event.type === 'ApiKeyIssued') {
    const { keyId, name, secretHash, expiresAt } = event.data
    return { status: 'active', keyId, name, secretHash, expiresAt, usedAt: undefined, stopped: false }
  }
  if (state.status === 'absent') return state
  switch (event.type) {
    case 'ApiKeyRevoked':
      return { ...state, status: 'revoked' }
    case 'ApiKeyStopped':
      return { ...state, stopped: true }
    case 'ApiKeyUsed':
      return { ...state, usedAt: event.data.at }
  }
}
