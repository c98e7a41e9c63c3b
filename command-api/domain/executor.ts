import { streams } from '../../schemas/events.ts'
import type { ExecutorCommand, ExecutorEvent } from '../../schemas/executor.ts'
import type { Meta } from '../../schemas/kernel.ts'
import { type Decider, DomainError } from './decider.ts'

type DataOf<T extends ExecutorCommand['type']> = Extract<ExecutorCommand, { type: T }>['data']
type EventOf<T extends ExecutorEvent['type']> = Extract<ExecutorEvent, { type: T }>['data']
type Token = Omit<EventOf<'EnrolmentTokenIssued'>, 'executorId'>

export type KnownExecutor = {
  status: 'invited' | 'enrolled' | 'draining' | 'revoked'
  executorId: string
  pool: string
  labels: Record<string, string>
  /** Present once it was enrolled; kept when it is revoked. */
  publicKey?: string
  version?: string
  protocol?: number
  /** Issued and not used: the newest only. */
  token?: Token
  usedToken?: string
  revokedKeys: readonly string[]
  /** How much of what it was refused is in the stream already. */
  refusals: number
}
export type Executor = { status: 'absent' } | KnownExecutor
/** SHA-256 of the token that is given out; undefined where none is. */
export type ExecutorFacts = { tokenHash?: string | undefined } | undefined

/** What is refused to one executor between two decisions about it; more would only fill the log. */
export const MAX_REFUSALS = 100

export const executor: Decider<Executor, ExecutorCommand, ExecutorEvent, ExecutorFacts> = {
  category: 'executor',
  streamOf: data => streams.executor(data.executorId),
  initial: { status: 'absent' },
  evolve,
  decide(command, state, meta, facts) {
    if (command.type === 'create-enrolment-token') return issueToken(command.data, state, meta, facts)
    if (command.type === 'invite-executor') return invite(command.data, state, meta)
    if (state.status === 'absent') throw new DomainError('executor-not-found', `no executor ${command.data.executorId}`)
    switch (command.type) {
      case 'enrol-executor':
        return enrol(command.data, state, meta)
      case 'refuse-enrolment':
        return bounded(state, { type: 'EnrolmentRefused', data: command.data })
      case 'refuse-report':
        return bounded(state, { type: 'ExecutorReportRefused', data: command.data })
      case 'revoke-executor':
        return state.status === 'revoked' && !state.token ? [] : [{ type: 'ExecutorRevoked', data: command.data }]
      case 'drain-executor':
      case 'resume-executor':
      case 'set-executor-labels':
      case 'move-executor-to-pool':
      case 'note-executor-version':
        return change(command, enrolled(state))
    }
  },
}

function issueToken(data: DataOf<'create-enrolment-token'>, state: Executor, meta: Meta, facts: ExecutorFacts) {
  const { executorId, pool, labels, expiresSeconds } = data
  const tokenHash = facts?.tokenHash
  if (tokenHash === undefined) throw new Error('a token is issued by its hash')
  if (state.status !== 'absent' && (state.token?.tokenHash === tokenHash || state.usedToken === tokenHash)) return []
  const expiresAt = new Date(Date.parse(meta.at) + expiresSeconds * 1000).toISOString()
  return [{ type: 'EnrolmentTokenIssued' as const, data: { executorId, tokenHash, pool, labels, expiresAt } }]
}

/** Only for one that never was: whoever can start the reactors cannot bring back what a person revoked. */
function invite(data: DataOf<'invite-executor'>, state: Executor, meta: Meta): ExecutorEvent[] {
  if (state.status !== 'absent' && state.status !== 'invited') return []
  const { tokenHash, ...asked } = data
  return issueToken({ ...asked, labels: {} }, state, meta, { tokenHash })
}

function enrol(data: DataOf<'enrol-executor'>, state: KnownExecutor, { at }: Meta): ExecutorEvent[] {
  const { executorId, tokenHash, publicKey, version, protocol } = data
  const again = state.usedToken === tokenHash && state.publicKey === publicKey && state.status !== 'revoked'
  if (again) return []
  const { token } = state
  if (token?.tokenHash !== tokenHash)
    throw new DomainError(
      'enrolment-token-invalid',
      `this token does not enrol ${executorId}: it was never issued for it, was used, or was replaced by a newer one`,
    )
  if (Date.parse(at) >= Date.parse(token.expiresAt))
    throw new DomainError('enrolment-token-expired', `the token for ${executorId} was good until ${token.expiresAt}`)
  if (state.revokedKeys.includes(publicKey))
    throw new DomainError('executor-revoked', `the key of ${executorId} was revoked: it needs a new identity`)
  const { pool, labels } = token
  return [{ type: 'ExecutorEnrolled', data: { executorId, publicKey, pool, labels, version, protocol, tokenHash } }]
}

const bounded = (state: KnownExecutor, event: ExecutorEvent): ExecutorEvent[] =>
  state.refusals < MAX_REFUSALS ? [event] : []

function enrolled(state: KnownExecutor): KnownExecutor {
  if (state.status === 'revoked')
    throw new DomainError('executor-revoked', `the executor ${state.executorId} is revoked`)
  if (state.status === 'invited')
    throw new DomainError('executor-not-enrolled', `the executor ${state.executorId} has not come with its token yet`)
  return state
}

type Change = Extract<
  ExecutorCommand,
  {
    type:
      | 'drain-executor'
      | 'resume-executor'
      | 'set-executor-labels'
      | 'move-executor-to-pool'
      | 'note-executor-version'
  }
>

function change(command: Change, state: KnownExecutor): ExecutorEvent[] {
  switch (command.type) {
    case 'drain-executor':
      return state.status === 'draining' ? [] : [{ type: 'ExecutorDrained', data: command.data }]
    case 'resume-executor':
      return state.status === 'enrolled' ? [] : [{ type: 'ExecutorResumed', data: command.data }]
    case 'set-executor-labels':
      return sameLabels(command.data.labels, state.labels) ? [] : [{ type: 'ExecutorLabelsSet', data: command.data }]
    case 'move-executor-to-pool':
      return command.data.pool === state.pool ? [] : [{ type: 'ExecutorMovedToPool', data: command.data }]
    case 'note-executor-version': {
      const { version, protocol } = command.data
      const known = version === state.version && protocol === state.protocol
      return known ? [] : [{ type: 'ExecutorVersionChanged', data: command.data }]
    }
  }
}

function sameLabels(a: Record<string, string>, b: Record<string, string>): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every(key => Object.hasOwn(b, key) && a[key] === b[key])
}

function evolve(state: Executor, event: ExecutorEvent): Executor {
  if (event.type === 'EnrolmentTokenIssued') {
    const { executorId, ...token } = event.data
    if (state.status !== 'absent') return { ...state, token, refusals: 0 }
    const { pool, labels } = token
    return { status: 'invited', executorId, pool, labels, token, revokedKeys: [], refusals: 0 }
  }
  return state.status === 'absent' ? state : changed(state, event)
}

function changed(state: KnownExecutor, event: Exclude<ExecutorEvent, { type: 'EnrolmentTokenIssued' }>): KnownExecutor {
  switch (event.type) {
    case 'ExecutorEnrolled': {
      const { publicKey, pool, labels, version, protocol, tokenHash } = event.data
      const { token: _, ...rest } = state
      const from = { publicKey, pool, labels, version, protocol }
      return { ...rest, ...from, status: 'enrolled', usedToken: tokenHash, refusals: 0 }
    }
    case 'ExecutorRevoked': {
      const { token: _, ...rest } = state
      const revokedKeys = state.publicKey === undefined ? state.revokedKeys : [...state.revokedKeys, state.publicKey]
      return { ...rest, status: 'revoked', revokedKeys, refusals: 0 }
    }
    case 'ExecutorDrained':
      return { ...state, status: 'draining' }
    case 'ExecutorResumed':
      return { ...state, status: 'enrolled' }
    case 'ExecutorLabelsSet':
      return { ...state, labels: event.data.labels }
    case 'ExecutorMovedToPool':
      return { ...state, pool: event.data.pool }
    case 'ExecutorVersionChanged':
      return { ...state, version: event.data.version, protocol: event.data.protocol }
    case 'EnrolmentRefused':
    case 'ExecutorReportRefused':
      return { ...state, refusals: state.refusals + 1 }
  }
}
