import type { Executor, KnownExecutor } from '../command-api/domain/index.ts'
import type { Clock } from '../infra/clock.ts'
import { pullSignedText, verifySignature } from '../infra/identity.ts'
import type { Log } from '../infra/log.ts'
import { type Heartbeat, type PullRequest, supportedProtocols } from '../schemas/bus.ts'
import { type Recorded, streams } from '../schemas/events.ts'
import type { Commands } from './commands.ts'

export type Refusal = { code: string; detail: string }
export type Verdict = 'ok' | 'draining' | Refusal
export type Presence = {
  executorId: string
  instanceId: string
  lastSeen: string
  capacity: number | null
  busy: number
}
type Options = { commands: Pick<Commands, 'known' | 'send'>; clock: Clock; log: Log; newId(): string }

/** How far an executor's clock may be off: within it a request that was overheard cannot be used twice. */
const MAX_SKEW_MS = 60_000
const WRITE_PRESENCE_EVERY_MS = 10_000
const REMEMBERED = 10_000

/**
 * The executors as the log knows them: who may have work, in which pool, and signed by which key. What is kept beside
 * (when somebody last asked, when it was last heard of) is lost with the process and costs nothing but that.
 */
export class Fleet {
  readonly #options: Options
  readonly #askedAt = new Map<string, number>()
  readonly #revoked = new Set<string>()
  readonly #told = new Map<string, string>()
  readonly #seen = new Map<string, Presence>()
  readonly #writtenAt = new Map<string, number>()

  constructor(options: Options) {
    this.#options = options
  }

  /** Whether this request is to be given work. Throws EventStoreUnavailable. */
  async admits(request: PullRequest, pool: string): Promise<Verdict> {
    const state = await this.standing(request.executorId)
    const verdict = this.#judge(request, pool, state)
    this.#tell(request, verdict)
    if (verdict === 'ok') this.#noteVersion(request, state)
    return verdict
  }

  /** Since this process reads the log: older revocations have no claims left to end. */
  isRevoked(executorId: string): boolean {
    return this.#revoked.has(executorId)
  }

  /** What the log says of an executor. Throws EventStoreUnavailable. */
  async standing(executorId: string): Promise<Executor> {
    return await this.#options.commands.known('executor', streams.executor(executorId))
  }

  /** Takes an event of the log, and answers whose waiting requests may no longer be served as they are. */
  apply({ type, data }: Recorded): string | undefined {
    switch (type) {
      case 'ExecutorRevoked':
        this.#revoked.add(data.executorId)
        return data.executorId
      case 'ExecutorEnrolled':
        this.#revoked.delete(data.executorId)
        return undefined
      case 'ExecutorDrained':
      case 'ExecutorMovedToPool':
      case 'ExecutorLabelsSet':
        return data.executorId
    }
    return undefined
  }

  heard({ executorId, instanceId, active, capacity }: Heartbeat): void {
    const lastSeen = this.#options.clock.now()
    this.#seen.set(executorId, { executorId, instanceId, lastSeen, capacity: capacity ?? null, busy: active.length })
  }

  /** Names of those this process has heard of. */
  heardOf(): Iterable<string> {
    return this.#askedAt.keys()
  }

  /** What was heard since it was last taken, of each executor at most every ten seconds. */
  takePresence(): Presence[] {
    const now = this.#options.clock.monotonic()
    const due = [...this.#seen.values()].filter(
      ({ executorId }) => now - (this.#writtenAt.get(executorId) ?? -Infinity) >= WRITE_PRESENCE_EVERY_MS,
    )
    for (const { executorId } of due) {
      this.#seen.delete(executorId)
      remember(this.#writtenAt, executorId, now)
    }
    return due
  }

  #judge(request: PullRequest, pool: string, state: Executor): Verdict {
    const { executorId, publicKey, protocol } = request
    if (!supportedProtocols.has(protocol)) {
      const spoken = [...supportedProtocols].join(', ')
      return refusal('protocol-not-supported', `the executor speaks protocol ${protocol}, the control plane ${spoken}`)
    }
    if (state.status === 'absent' || state.status === 'invited')
      return refusal('executor-not-enrolled', `no executor ${executorId} is enrolled`)
    if (state.status === 'revoked') return refusal('executor-revoked', `the executor ${executorId} is revoked`)
    if (state.publicKey !== publicKey)
      return refusal('executor-not-enrolled', `the executor ${executorId} is enrolled with another key`)
    const forged = this.#notItsOwn(request, pool)
    if (forged) return forged
    if (state.pool !== pool)
      return refusal('wrong-pool', `the executor ${executorId} belongs to the pool ${state.pool}, not ${pool}`)
    return state.status === 'draining' ? 'draining' : 'ok'
  }

  /** A signature that is right is not enough: the same request may have been sent before, by somebody else. */
  #notItsOwn(request: PullRequest, pool: string): Refusal | undefined {
    const { executorId, publicKey, signature } = request
    if (!verifySignature(publicKey, pullSignedText({ ...request, pool }), signature))
      return refusal('wrong-signature', 'the request is not signed by the enrolled key')
    const at = Date.parse(request.at)
    const skew = at - Date.parse(this.#options.clock.now())
    if (Math.abs(skew) > MAX_SKEW_MS)
      return refusal(
        'clock-skew',
        `the clock of ${executorId} is ${Math.round(skew / 1000)} s off; at most 60 s are let pass`,
      )
    if (at <= (this.#askedAt.get(executorId) ?? -Infinity))
      return refusal('stale-request', 'a newer request of this executor was seen already')
    remember(this.#askedAt, executorId, at)
    return undefined
  }

  /** Once for each change: an executor asks again every few seconds. */
  #tell({ executorId }: PullRequest, verdict: Verdict): void {
    const said = typeof verdict === 'string' ? verdict : verdict.code
    if ((this.#told.get(executorId) ?? 'ok') === said) return
    remember(this.#told, executorId, said)
    const { log } = this.#options
    // Each begins by asking before it is enrolled; with a token it then sees to that itself.
    if (typeof verdict === 'string' || verdict.code === 'wrong-pool' || verdict.code === 'executor-not-enrolled')
      log.info({ executorId, verdict: said }, 'an executor asks for work')
    else log.warn({ executorId, ...verdict }, 'an executor asks for work and gets none')
  }

  #noteVersion({ executorId, version, protocol }: PullRequest, state: Executor): void {
    const known = state as KnownExecutor
    if (known.version === version && known.protocol === protocol) return
    const commandId = this.#options.newId()
    const by = {
      commandId,
      correlationId: commandId,
      causationId: commandId,
      actor: { kind: 'executor', id: executorId },
    } as const
    const command = { type: 'note-executor-version', data: { executorId, version, protocol } } as const
    this.#options.commands
      .send('executor', command, by)
      .catch(err => this.#options.log.warn({ err, executorId }, 'the version of an executor could not be noted'))
  }
}

const refusal = (code: string, detail: string): Refusal => ({ code, detail })

/** The names come from outside: what is remembered of them is bounded. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > REMEMBERED && oldest !== undefined) map.delete(oldest)
}
